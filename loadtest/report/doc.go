// Package report makes a page of a result of the load generator: the verdict and what led to it, plots over the time of the run
// with its faults and stages, the distribution of each latency, the nodes, and tables of everything. The page is one file
// that loads nothing: its plots are SVG that this package draws, its script only shows the values under the pointer. It
// follows the reader's choice of light or dark, and prints.
package report
