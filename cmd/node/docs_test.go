package main

import (
	"flag"
	"os"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/ringfleet/ringfleet"
	"github.com/ringfleet/ringfleet/internal/observe"
)

// TestClusterDocument compares docs/cluster.md with the settings, metrics and fields of the status that there are.
func TestClusterDocument(t *testing.T) {
	data, err := os.ReadFile("../../docs/cluster.md")
	if err != nil {
		t.Fatal(err)
	}
	text := string(data)

	f := flag.NewFlagSet("node", flag.ContinueOnError)
	new(clusterSettings).register(f)
	f.VisitAll(func(fl *flag.Flag) {
		row := regexp.MustCompile("(?m)^\\| [^|]*`--" + fl.Name + "`[^|]* \\| ([^|]*)\\| .+\\|$").FindStringSubmatch(text)
		if row == nil {
			t.Errorf("docs/cluster.md has no row for --%s", fl.Name)
		} else if given := strings.Trim(row[1], "` "); given != fl.DefValue {
			t.Errorf("docs/cluster.md has the default %q for --%s, want %q", given, fl.Name, fl.DefValue)
		}
	})

	descs := make(chan *prometheus.Desc)
	go func() {
		observe.NewCluster(nil).Describe(descs)
		close(descs)
	}()
	metrics := map[string]bool{}
	for d := range descs {
		name := regexp.MustCompile(`fqName: "(\w+)"`).FindStringSubmatch(d.String())[1]
		metrics[name] = true
		if !regexp.MustCompile("`" + name + "[`{]").MatchString(text) {
			t.Errorf("docs/cluster.md has no %s", name)
		}
	}
	for _, name := range regexp.MustCompile(`\bringfleet_\w+`).FindAllString(text, -1) {
		if !metrics[name] {
			t.Errorf("docs/cluster.md has %s, which there is not", name)
		}
	}

	for _, name := range fields(reflect.TypeFor[ringfleet.Status]()) {
		if !regexp.MustCompile("[`.]" + name + "[`.]").MatchString(text) {
			t.Errorf("docs/cluster.md has no field %s of the status", name)
		}
	}
}

// fields returns the names in JSON of all fields of a type.
func fields(t reflect.Type) (names []string) {
	for t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice {
		t = t.Elem()
	}
	if t.Kind() != reflect.Struct {
		return nil
	}
	for i := range t.NumField() {
		name, _, _ := strings.Cut(t.Field(i).Tag.Get("json"), ",")
		names = append(append(names, name), fields(t.Field(i).Type)...)
	}
	return names
}
