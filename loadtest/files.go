package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"

	"github.com/ringfleet/ringfleet/loadtest/figures"
	"github.com/ringfleet/ringfleet/loadtest/report"
	"github.com/ringfleet/ringfleet/loadtest/threshold"
)

// render writes the result as a page.
func (res *result) render(path string) error {
	text, err := json.Marshal(res)
	if err != nil {
		return fmt.Errorf("encode the result: %w", err)
	}
	f, err := figures.Decode(text) // as from the file: the report shows what that tells
	if err != nil {
		return err
	}
	return renderTo(f, path)
}

func renderTo(f *figures.Run, path string) error {
	var page bytes.Buffer
	if err := report.Render(&page, f); err != nil {
		return fmt.Errorf("make the report: %w", err)
	}
	if err := os.WriteFile(path, page.Bytes(), 0o644); err != nil {
		return fmt.Errorf("write the report: %w", err)
	}
	return nil
}

// render makes a page of a result that was written before.
func render(_ context.Context, args []string, stdout, stderr io.Writer) int {
	if len(args) != 2 {
		fmt.Fprintln(stderr, "loadtest report: want RESULT.json REPORT.html")
		return exitUsage
	}
	f, err := figures.Read(args[0])
	if err == nil {
		err = renderTo(f, args[1])
	}
	if err != nil {
		fmt.Fprintf(stderr, "loadtest report: %v\n", err)
		return exitUsage
	}
	fmt.Fprintf(stdout, "wrote %s\n", args[1])
	return exitOK
}

const compareUsage = `loadtest compare: tells what became of a run, and fails if it is worse.

  loadtest compare BEFORE.json AFTER.json
  loadtest compare --fail-if 'setup.p99 > +20%%' --fail-if 'node-cpu > 240us' BEFORE.json AFTER.json

It exits with 1 if the second run broke a promise, had failed calls or errors, or a rule
holds; without rules, if throughput, set-up, accept, CPU per call or memory are worse
by more than --tolerance (latencies besides by more than %.0f ms); 2 if a file cannot be read.

`

// compare compares two results.
func compare(_ context.Context, args []string, stdout, stderr io.Writer) int {
	f := flag.NewFlagSet("loadtest compare", flag.ContinueOnError)
	f.SetOutput(io.Discard)
	var failIf list
	f.Var(&failIf, "fail-if", "`rule` that fails the comparison: of the second run, as 'setup.p99 > 5ms', or of the change, as 'setup.p99 > +20%'")
	tolerance := f.Float64("tolerance", 0.2, "without rules: by what share a figure may be worse")
	err := f.Parse(args)
	if errors.Is(err, flag.ErrHelp) {
		fmt.Fprintf(stdout, compareUsage, threshold.Floor)
		f.SetOutput(stdout)
		f.PrintDefaults()
		return exitOK
	}
	if err == nil && f.NArg() != 2 {
		err = errors.New("want BEFORE.json AFTER.json")
	}
	var rules []threshold.Rule
	for _, text := range failIf {
		rule, ruleErr := threshold.Parse(text)
		err = errors.Join(err, ruleErr)
		rules = append(rules, rule)
	}
	var results [2]*figures.Run
	for i := 0; i < len(results) && err == nil; i++ {
		results[i], err = figures.Read(f.Arg(i))
	}
	if err != nil {
		fmt.Fprintf(stderr, "loadtest compare: %v\n", err)
		return exitUsage
	}
	c := threshold.Compare(results[0], results[1], rules, *tolerance)
	c.Print(stdout)
	if c.Fails {
		return exitBroken
	}
	return exitOK
}
