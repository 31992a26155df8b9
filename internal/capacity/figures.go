package main

import (
	_ "embed"
	"fmt"
	"strconv"
	"strings"
)

// measured is the one place of what was measured.
//
//go:embed figures.txt
var measured string

// figure is what was measured, the median of some runs, and their extremes.
type figure struct {
	median, low, high float64
	load              float64 // the machine's load before
}

// figures are what was measured, by name.
type figures map[string]figure

// parse reads lines of a name and four numbers. A line that begins with # is a comment; of two lines of a name the later one
// counts, so that what scripts/capacity prints may be appended.
func parse(text string) (figures, error) {
	f := figures{}
	number := 0
	for line := range strings.Lines(text) {
		number++
		words := strings.Fields(line)
		if len(words) == 0 || strings.HasPrefix(words[0], "#") {
			continue
		}
		if len(words) != 5 {
			return nil, fmt.Errorf("figures.txt:%d: want a name, median, lowest, highest and load, got %q", number, line)
		}
		var values [4]float64
		for i, word := range words[1:] {
			var err error
			if values[i], err = strconv.ParseFloat(word, 64); err != nil || values[i] < 0 {
				return nil, fmt.Errorf("figures.txt:%d: %q is no figure", number, word)
			}
		}
		if values[0] < values[1] || values[0] > values[2] {
			return nil, fmt.Errorf("figures.txt:%d: the median of %s is not between its extremes", number, words[0])
		}
		f[words[0]] = figure{values[0], values[1], values[2], values[3]}
	}
	return f, nil
}
