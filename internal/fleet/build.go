package fleet

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"
)

// BuildOptions say what to build. The zero value is cmd/node of the module around the working directory.
type BuildOptions struct {
	// Module is a folder in the module. The default is the working directory.
	Module string
	// Commit is whose files are built, in any way that git knows it by. The default is the files as they
	// are.
	Commit string
	// Packages are built, each as a program. The default is ./cmd/node.
	Packages []string
	// Flags are given to go build, as -race.
	Flags []string
}

// Binaries are programs that were built.
type Binaries struct{ dir string }

// Path returns the path of a program, by the last part of its package.
func (b *Binaries) Path(name string) string { return filepath.Join(b.dir, name) }

// Remove deletes them.
func (b *Binaries) Remove() { _ = os.RemoveAll(b.dir) } // in the folder for temporary files

// Build builds programs into a new folder. The error has what the compiler said. It takes seconds, or minutes with
// an empty build cache.
func Build(ctx context.Context, o BuildOptions) (*Binaries, error) {
	if len(o.Packages) == 0 {
		o.Packages = []string{"./cmd/node"}
	}
	root, err := output(ctx, o.Module, "go", "env", "GOMOD")
	if err != nil {
		return nil, err
	}
	source := filepath.Dir(strings.TrimSpace(string(root)))
	b := &Binaries{}
	if b.dir, err = os.MkdirTemp("", "ringfleet-build-"); err != nil {
		return nil, fmt.Errorf("fleet: build: %w", err)
	}
	if o.Commit != "" {
		files := filepath.Join(b.dir, "source")
		defer func() { _ = os.RemoveAll(files) }() // in the folder for temporary files
		if err := checkOut(ctx, source, o.Commit, files); err != nil {
			b.Remove()
			return nil, err
		}
		source = files
	}
	args := append([]string{"build", "-buildvcs=false"}, o.Flags...)
	for _, pkg := range o.Packages {
		if _, err := output(ctx, source, "go", append(args, "-o", b.Path(path.Base(pkg)), pkg)...); err != nil {
			b.Remove()
			return nil, err
		}
	}
	return b, nil
}

// checkOut writes the files of a commit into a folder, apart from the checkout, which it leaves alone.
func checkOut(ctx context.Context, repository, commit, dir string) error {
	archive, err := output(ctx, repository, "git", "archive", "--format=tar", commit)
	if err != nil {
		return err
	}
	for r := tar.NewReader(bytes.NewReader(archive)); ; {
		header, err := r.Next()
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err == nil && !filepath.IsLocal(header.Name):
			err = fmt.Errorf("the archive has a file %q", header.Name)
		case err == nil && header.Typeflag == tar.TypeDir:
			err = os.MkdirAll(filepath.Join(dir, header.Name), 0o755)
		case err == nil && header.Typeflag == tar.TypeReg:
			err = extract(filepath.Join(dir, header.Name), r)
		}
		if err != nil {
			return fmt.Errorf("fleet: check out %s: %w", commit, err)
		}
	}
}

func extract(name string, r io.Reader) error {
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return err
	}
	text, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	return os.WriteFile(name, text, 0o644)
}

// FirstWith returns the first commit in which a file below a folder has a text, by the history of the module
// around the working directory. The error says that there is no such history, or that it has no such commit.
func FirstWith(ctx context.Context, text, folder string) (string, error) {
	top, err := output(ctx, "", "git", "rev-parse", "--show-toplevel")
	if err != nil {
		return "", err
	}
	root := strings.TrimSpace(string(top))
	shallow, err := output(ctx, root, "git", "rev-parse", "--is-shallow-repository")
	if err != nil {
		return "", err
	}
	if strings.TrimSpace(string(shallow)) == "true" {
		return "", errors.New("fleet: this clone has no history (git fetch --unshallow gets it)")
	}
	list, err := output(ctx, root, "git", "log", "--reverse", "--format=%H", "-S"+text, "--", folder)
	if err != nil {
		return "", err
	}
	first, _, _ := strings.Cut(string(list), "\n")
	if first == "" {
		return "", fmt.Errorf("fleet: no commit has %q in %s", text, folder)
	}
	return first, nil
}

// output runs a command and returns what it writes; the error has what it complains about.
func output(ctx context.Context, dir, name string, args ...string) ([]byte, error) {
	command := exec.CommandContext(ctx, name, args...)
	command.Dir = dir
	var complaint bytes.Buffer
	command.Stderr = &complaint
	out, err := command.Output()
	if err != nil {
		return nil, fmt.Errorf("fleet: %s: %w\n%s", command, err, complaint.String())
	}
	return out, nil
}
