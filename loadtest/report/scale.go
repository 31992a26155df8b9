package report

import (
	"fmt"
	"math"
	"strconv"
)

// scale places values on an axis.
type scale struct {
	from, to float64 // values at its ends
	log      bool
	ticks    []float64
}

// place returns where on the axis a value is: 0 at its begin, 1 at its end.
func (s scale) place(v float64) float64 {
	if s.log {
		return (math.Log(max(v, s.from)) - math.Log(s.from)) / (math.Log(s.to) - math.Log(s.from))
	}
	return (v - s.from) / (s.to - s.from)
}

// linear returns a scale from 0 to at least a value, with some round ticks.
func linear(most float64) scale {
	if !(most > 0) {
		most = 1
	}
	step := above125(most / 4)
	s := scale{ticks: []float64{0}}
	for i := 1; s.to < most; i++ {
		s.to = float64(i) * step
		s.ticks = append(s.ticks, s.to)
	}
	return s
}

// span returns a linear scale of exactly some length, with round ticks.
func span(length float64, ticks int) scale {
	if !(length > 0) {
		length = 1
	}
	s := scale{to: length}
	step := roundTime(length / float64(ticks))
	for i := 0; float64(i)*step <= length*1.0001; i++ {
		s.ticks = append(s.ticks, float64(i)*step)
	}
	return s
}

// logarithmic returns a scale that holds the values, with ticks at 1, 2 and 5 of each power of ten, or at 1 if there are many.
func logarithmic(least, most float64) scale {
	if !(least > 0) || !(most > 0) {
		least, most = 0.1, 1
	}
	s := scale{log: true, from: below125(least), to: above125(most)}
	if s.to <= s.from {
		s.to = above125(s.from * 1.5)
	}
	factors := []float64{1, 2, 5}
	if math.Log10(s.to/s.from) > 3 {
		factors = []float64{1}
	}
	for power := math.Floor(math.Log10(s.from)); power <= math.Ceil(math.Log10(s.to)); power++ {
		for _, f := range factors {
			if v := f * math.Pow(10, power); v >= s.from*0.999 && v <= s.to*1.001 {
				s.ticks = append(s.ticks, v)
			}
		}
	}
	return s
}

// above125 returns the next 1, 2 or 5 of a power of ten that is at least v.
func above125(v float64) float64 {
	power := math.Pow(10, math.Floor(math.Log10(v)))
	for _, f := range []float64{1, 2, 5, 10} {
		if f*power >= v*0.9999 {
			return f * power
		}
	}
	return 10 * power
}

func below125(v float64) float64 {
	power := math.Pow(10, math.Floor(math.Log10(v)))
	for _, f := range []float64{5, 2} {
		if f*power <= v*1.0001 {
			return f * power
		}
	}
	return power
}

// roundTime returns a step of time, in seconds, that people count in and that is at least v.
func roundTime(v float64) float64 {
	for _, step := range []float64{1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 43200, 86400} {
		if step >= v {
			return step
		}
	}
	return math.Ceil(v/86400) * 86400
}

// short writes a number in few letters.
func short(v float64) string {
	switch {
	case v == 0:
		return "0"
	case v >= 1e6:
		return strconv.FormatFloat(v/1e6, 'g', 3, 64) + "M"
	case v >= 10_000:
		return strconv.FormatFloat(v/1e3, 'g', 3, 64) + "k"
	case v >= 100:
		return fmt.Sprintf("%.0f", v)
	default:
		return strconv.FormatFloat(v, 'g', 3, 64)
	}
}

// clock writes a time of the run.
func clock(seconds float64) string {
	switch s := int(math.Round(seconds)); {
	case s < 60:
		return fmt.Sprintf("%d s", s)
	case s < 3600:
		return fmt.Sprintf("%d:%02d", s/60, s%60)
	default:
		return fmt.Sprintf("%d:%02d:%02d", s/3600, s/60%60, s%60)
	}
}
