// Package plan reads what a run of the load generator is to be like from a file, in YAML or JSON: users, rates, a mix of
// scenarios and scenarios of its own, thresholds. docs/loadtest.md has the keys, loadtest/examples has files.
//
// A file says nothing that flags could not, but for scenarios; a flag that is given counts instead of what the file says. It is read
// strictly: an unknown key, a key that comes twice and a value that makes no sense are errors with the line and what would
// be right ([KeyError], [ValueError], [SyntaxError]).
package plan
