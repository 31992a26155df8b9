package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/peterbourgon/ff/v3"
)

// origins tell where the value of each setting comes from: "flag", "environment" or "file"; none for a default.
type origins map[string]string

// read sets the flags from arguments, environment and file, which may use the names of either. A name that is no setting is refused, with the one
// that was probably meant.
func read(f *flag.FlagSet, args []string) (origins, error) {
	found := origins{}
	file := func(r io.Reader, set func(name, value string) error) error {
		return ff.PlainParser(r, func(name, value string) error {
			i := slices.IndexFunc(names(f), func(n string) bool { return n == name || variable(n) == name })
			if i < 0 {
				return fmt.Errorf("config file: %q names no setting%s", name, meant(name, names(f)))
			}
			found[names(f)[i]] = "file"
			return set(name, value)
		})
	}
	err := ff.Parse(f, args, ff.WithEnvVarPrefix(envPrefix), ff.WithConfigFileFlag("config"), ff.WithConfigFileParser(file))
	if m := undefined.FindStringSubmatch(fmt.Sprint(err)); m != nil {
		err = fmt.Errorf("there is no setting --%s%s", m[1], meant(m[1], names(f)))
	}
	if err != nil {
		return nil, err
	}
	f.VisitAll(func(fl *flag.Flag) {
		if os.Getenv(variable(fl.Name)) != "" {
			found[fl.Name] = "environment"
		}
	})
	given := flag.NewFlagSet("", flag.ContinueOnError) // the arguments alone
	given.SetOutput(io.Discard)
	new(settings).register(given)
	_ = given.Parse(args) // was parsed before
	given.Visit(func(fl *flag.Flag) { found[fl.Name] = "flag" })
	return found, nil
}

// undefined matches what package flag says of a name that it does not know.
var undefined = regexp.MustCompile(`flag provided but not defined: -(\S+)`)

// variable returns the name of a setting in the environment.
func variable(name string) string {
	return envPrefix + "_" + strings.ToUpper(strings.ReplaceAll(name, "-", "_"))
}

func names(f *flag.FlagSet) []string {
	var list []string
	f.VisitAll(func(fl *flag.Flag) { list = append(list, fl.Name) })
	return list
}

// unknownVariables refuses variables that have the prefix and name no setting.
func unknownVariables(f *flag.FlagSet, environ []string) error {
	var variables []string
	for _, name := range names(f) {
		variables = append(variables, variable(name))
	}
	var errs []error
	for _, v := range environ {
		name, _, _ := strings.Cut(v, "=")
		if strings.HasPrefix(name, envPrefix+"_") && !slices.Contains(variables, name) {
			errs = append(errs, fmt.Errorf("environment variable %s names no setting%s", name, meant(name, variables)))
		}
	}
	return errors.Join(errs...)
}

// meant returns a question for the known name that is nearest to one that is not, "" if none is near.
func meant(name string, known []string) string {
	best, least := "", max(len(name)/3, 2)+1
	for _, k := range known {
		if d := distance(name, k); d < least {
			best, least = k, d
		}
	}
	if best == "" {
		return ""
	}
	return "; did you mean " + best + "?"
}

// distance returns how many letters have to be put in, left out or exchanged to get from one to the other
// (Levenshtein 1965). It takes time and room in the product of their lengths, so what is long is far away.
func distance(a, b string) int {
	const long = 64
	if len(a) > long || len(b) > long {
		return len(a) + len(b)
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			change := diagonal
			if a[i] != b[j] {
				change++
			}
			diagonal = row[j+1]
			row[j+1] = min(change, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}

// print writes the effective settings as a file that --config takes, each with its origin. Nothing in it is secret:
// the secrets are in files that it names, and what a URL has of one is left out.
func (s *settings) print(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	s.flags.VisitAll(func(fl *flag.Flag) {
		if slices.Contains([]string{"config", "check"}, fl.Name) {
			return
		}
		value, origin := s.effective(fl), s.origins[fl.Name]
		switch {
		case origin == "":
			origin = "default"
		case origin == "file":
			origin = "file " + s.flags.Lookup("config").Value.String()
		case origin == "environment":
			origin = variable(fl.Name)
		}
		if value == "" {
			fmt.Fprintf(t, "# %s is empty\t\t # %s\n", fl.Name, origin)
			return
		}
		fmt.Fprintf(t, "%s\t%s\t # %s\n", fl.Name, value, origin)
	})
	return t.Flush()
}

// effective returns the value that counts, where the default stands for another one, and without secrets.
func (s *settings) effective(fl *flag.Flag) string {
	value := fl.Value.String()
	switch {
	case fl.Name == "max-connections" && value == "0":
		return strconv.Itoa(s.node.Gateway.WithDefaults().MaxConnections)
	case strings.Contains(value, "://") && !strings.Contains(value, ","):
		u, err := url.Parse(value)
		if err != nil {
			return "REDACTED"
		}
		if u.User != nil {
			u.User = url.User("REDACTED")
		}
		if u.RawQuery != "" {
			u.RawQuery = "REDACTED"
		}
		return u.String()
	}
	return value
}
