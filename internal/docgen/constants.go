package main

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"strconv"
	"strings"
)

// constant is a constant of package invitation as its source has it.
type constant struct {
	name    string // in Go
	comment string // the one behind it, "" for none
}

// constants returns the numbered constants of the package in folder: type → number → constant.
func constants(folder string) (map[string]map[int]constant, error) {
	files, err := filepath.Glob(filepath.Join(folder, "*.go"))
	if err != nil {
		return nil, err
	}
	found := map[string]map[int]constant{}
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ParseComments)
		if err != nil {
			return nil, fmt.Errorf("read constants: %w", err)
		}
		ast.Inspect(parsed, func(n ast.Node) bool {
			if spec, ok := n.(*ast.ValueSpec); ok {
				collect(spec, found)
			}
			return true
		})
	}
	return found, nil
}

// collect takes a declaration of the form `Name Type = 7 // comment`.
func collect(spec *ast.ValueSpec, found map[string]map[int]constant) {
	kind, ok := spec.Type.(*ast.Ident)
	if !ok || len(spec.Values) != 1 {
		return
	}
	literal, ok := spec.Values[0].(*ast.BasicLit)
	if !ok || literal.Kind != token.INT {
		return
	}
	number, err := strconv.Atoi(literal.Value)
	if err != nil {
		return
	}
	if found[kind.Name] == nil {
		found[kind.Name] = map[int]constant{}
	}
	found[kind.Name][number] = constant{spec.Names[0].Name, strings.TrimSpace(spec.Comment.Text())}
}
