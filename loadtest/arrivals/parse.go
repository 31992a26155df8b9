package arrivals

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// StageError is a stage that cannot be read.
type StageError struct {
	Stage string // as it was given
	Want  string // what would be right
}

// Error implements error.
func (e *StageError) Error() string {
	return fmt.Sprintf("stage %q: %s; stages are RATE/TIME, FROM..TO/TIME or FROM..TO+STEP/TIME, as 100/30s,100..500/1m", e.Stage, e.Want)
}

// ParseStages reads stages, separated by commas: "100/30s" holds the rate, "100..500/1m" ramps it evenly, and
// "100..500+100/30s" steps it up by 100 every 30 s. The error is a [*StageError].
func ParseStages(text string) ([]Stage, error) {
	var stages []Stage
	for part := range strings.SplitSeq(text, ",") {
		more, err := parseStage(strings.TrimSpace(part))
		if err != nil {
			return nil, err
		}
		if stages = append(stages, more...); len(stages) > MaxStages {
			return nil, &StageError{part, fmt.Sprintf("there are more than %d stages with it", MaxStages)}
		}
	}
	return stages, nil
}

func parseStage(text string) ([]Stage, error) {
	rates, lasting, ok := strings.Cut(text, "/")
	if !ok {
		return nil, &StageError{text, "how long does it last?"}
	}
	lasts, err := time.ParseDuration(lasting)
	if err != nil || lasts <= 0 {
		return nil, &StageError{text, fmt.Sprintf("%q is no time, as 30s or 1m30s", lasting)}
	}
	begin, end, ramp := strings.Cut(rates, "..")
	from, err := rate(text, begin)
	if err != nil {
		return nil, err
	}
	if !ramp {
		return []Stage{{From: from, To: from, Lasts: lasts}}, nil
	}
	end, by, steps := strings.Cut(end, "+")
	to, err := rate(text, end)
	if err != nil {
		return nil, err
	}
	if !steps {
		return []Stage{{From: from, To: to, Lasts: lasts}}, nil
	}
	step, err := rate(text, by)
	if err != nil {
		return nil, err
	}
	return staircase(text, from, to, step, lasts)
}

// staircase goes up, or down, by steps of equal length.
func staircase(text string, from, to, step float64, lasts time.Duration) ([]Stage, error) {
	if step == 0 || math.Abs(to-from)/step >= MaxStages {
		return nil, &StageError{text, fmt.Sprintf("want a step that leads there in less than %d stages", MaxStages)}
	}
	var stages []Stage
	for i := range int(math.Abs(to-from)/step+tiny) + 1 {
		at := from + float64(i)*step
		if to < from {
			at = from - float64(i)*step
		}
		stages = append(stages, Stage{From: at, To: at, Lasts: lasts})
	}
	return stages, nil
}

func rate(stage, text string) (float64, error) {
	r, err := strconv.ParseFloat(text, 64)
	if err != nil || math.IsNaN(r) || r < 0 || r > MaxRate {
		return 0, &StageError{stage, fmt.Sprintf("the rate %q: want a number of 0 to %.0f a second", text, MaxRate)}
	}
	return r, nil
}
