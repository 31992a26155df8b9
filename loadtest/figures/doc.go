// Package figures is the result of a run of the load generator: what it is as JSON ([Run], docs/loadtest.md has every
// field), how the results of several generators become one ([Merge]), and how one figure of it is asked for by name
// ([Run.Figure]), as thresholds and comparisons do.
//
// The names in the JSON are stable: what a version has, later ones have with the same meaning. [Version] grows when
// that cannot be kept; [Read] refuses what is newer than it knows.
package figures
