package main

import (
	"bytes"
	"embed"
	"errors"
	"fmt"
	"go/format"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"runtime/debug"
	"slices"
	"strings"
	"text/template"

	"github.com/spf13/cobra"
	"golang.org/x/mod/modfile"
)

// scaffolding is what connector new writes; its paths are those of the files, with .tmpl behind.
//
//go:embed scaffold
var scaffolding embed.FS

// ourModule is the module that a connector imports.
const ourModule = "github.com/lrshub/lrshub"

// scaffold is what the templates know.
type scaffold struct {
	Name    string // "acme-lms"
	Package string // of a built-in connector: "acmelms"
	Title   string // "Acme Lms"
	Builtin bool   // in the hub's own module
	Place   string // of a built-in connector, in its module: "connectors/acmelms"
	dir     string
	module  string // path of the new module
	replace string // folder of the hub's module; "": version
	version string
}

func connectorNew(r *remote) *cobra.Command {
	var s scaffold
	c := &cobra.Command{
		Use: "new NAME", Short: "Write a first version of a connector: it reads one stream of a REST API, and its test passes", Args: exactly("NAME"),
		Long: `Write a first version of a connector: it reads one stream of a REST API, has a mapping with a fixture, and its test passes, offline.
In a folder of lrshub's own module it becomes a built-in connector; anywhere else a module of its own, a program that anyone can run.
Such a module needs lrshub's packages: from a checkout (--replace), or of a version (--version).`,
		Example: `  lrshub connector new acme --replace ~/lrshub && cd acme && go test .
  lrshub connector new acme --dir connectors/acme`,
		RunE: func(_ *cobra.Command, args []string) error {
			s.Name = args[0]
			if err := s.complete(); err != nil {
				return err
			}
			if err := s.write(); err != nil {
				return err
			}
			s.tell(r)
			return nil
		},
	}
	c.Flags().StringVar(&s.dir, "dir", "", "folder to write to; it must not exist, or be empty (default: NAME)")
	c.Flags().StringVar(&s.module, "module", "", "path of the new module (default: example.org/NAME)")
	c.Flags().StringVar(&s.replace, "replace", "", "folder of a checkout of lrshub")
	c.Flags().StringVar(&s.version, "version", "", "version of lrshub (default: that of this program, if it is a released one)")
	return c
}

var connectorName = regexp.MustCompile(`^[a-z][a-z0-9]*(-[a-z0-9]+)*$`)

// complete checks what was asked for and finds out the rest.
func (s *scaffold) complete() error {
	if len(s.Name) > 40 || !connectorName.MatchString(s.Name) {
		return usage("a connector's name is short, of small letters and digits, with hyphens between them: acme-lms")
	}
	if slices.Contains(builtin(), s.Name) {
		return usage("there is a built-in connector %q already", s.Name)
	}
	s.Package = strings.ReplaceAll(s.Name, "-", "")
	s.Title = strings.ReplaceAll(s.Name, "-", " ")
	s.Title = strings.ToUpper(s.Title[:1]) + s.Title[1:]
	if s.dir == "" {
		s.dir = s.Name
	}
	dir, err := filepath.Abs(s.dir)
	if err != nil {
		return err
	}
	s.dir = dir
	if entries, err := os.ReadDir(dir); err == nil && len(entries) > 0 || err != nil && !errors.Is(err, fs.ErrNotExist) {
		return usage("%s is not empty, or no folder; nothing was written", dir)
	}
	if root, ours := moduleAbove(filepath.Dir(dir)); ours && s.replace == "" && s.version == "" && s.module == "" {
		s.Builtin = true
		place, err := filepath.Rel(root, dir)
		s.Place = filepath.ToSlash(place)
		return err
	}
	if s.module == "" {
		s.module = "example.org/" + s.Name
	}
	return s.source()
}

// source finds out where lrshub's packages come from.
func (s *scaffold) source() error {
	switch {
	case s.replace != "" && s.version != "":
		return usage("--replace and --version exclude each other")
	case s.replace != "":
		root, err := filepath.Abs(s.replace)
		if err != nil {
			return err
		}
		if found, ours := moduleAbove(root); !ours || found != root {
			return usage("--replace: %s is not the folder of a checkout of lrshub: its go.mod does not say module %s", root, ourModule)
		}
		s.replace = root
	case s.version == "":
		if info, ok := debug.ReadBuildInfo(); ok && strings.HasPrefix(info.Main.Version, "v") && !strings.Contains(info.Main.Version, "+") {
			s.version = info.Main.Version
			return nil
		}
		return usage("say where lrshub's packages come from: --replace FOLDER-OF-A-CHECKOUT, or --version v1.2.3")
	}
	return nil
}

// moduleAbove finds the folder with the go.mod that a folder is under, and whether it is lrshub's own.
func moduleAbove(dir string) (root string, ours bool) {
	for {
		if text, err := os.ReadFile(filepath.Join(dir, "go.mod")); err == nil {
			return dir, modfile.ModulePath(text) == ourModule
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return "", false
		}
		dir = parent
	}
}

// write writes the files.
func (s *scaffold) write() error {
	files := map[string][]byte{}
	err := fs.WalkDir(scaffolding, "scaffold", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		text, err := s.fill(path)
		files[s.target(path)] = text
		return err
	})
	if err == nil && !s.Builtin {
		err = s.goModule(files)
	}
	if err != nil {
		return err
	}
	for name, text := range files {
		path := filepath.Join(s.dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(path, text, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// target is where a template's file goes.
func (s *scaffold) target(path string) string {
	name := strings.TrimSuffix(strings.TrimPrefix(path, "scaffold/"), ".tmpl")
	if s.Builtin {
		return strings.Replace(name, "connector", s.Package, 1)
	}
	return strings.Replace(name, "connector", "main", 1)
}

func (s *scaffold) fill(path string) ([]byte, error) {
	text, err := scaffolding.ReadFile(path)
	if err != nil {
		return nil, err
	}
	t, err := template.New(path).Option("missingkey=error").Parse(string(text))
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	if err := t.Execute(&b, s); err != nil {
		return nil, err
	}
	if strings.HasSuffix(path, ".go.tmpl") {
		return format.Source(b.Bytes())
	}
	return b.Bytes(), nil
}

// goModule adds go.mod, and with a checkout also go.sum: its requirements are those of lrshub, so that nothing has to be asked of the network.
func (s *scaffold) goModule(files map[string][]byte) error {
	var m modfile.File
	if err := m.AddModuleStmt(s.module); err != nil {
		return err
	}
	version := s.version
	if s.replace != "" {
		version = "v0.0.0"
		text, err := os.ReadFile(filepath.Join(s.replace, "go.mod"))
		if err != nil {
			return err
		}
		its, err := modfile.ParseLax("go.mod", text, nil)
		if err != nil {
			return fmt.Errorf("go.mod of %s: %w", s.replace, err)
		}
		if err := m.AddGoStmt(its.Go.Version); err != nil {
			return err
		}
		for _, required := range its.Require {
			m.AddNewRequire(required.Mod.Path, required.Mod.Version, true)
		}
		if err := m.AddReplace(ourModule, "", s.replace, ""); err != nil {
			return err
		}
		if files["go.sum"], err = os.ReadFile(filepath.Join(s.replace, "go.sum")); err != nil {
			return err
		}
	}
	m.AddNewRequire(ourModule, version, false)
	m.Cleanup()
	text, err := m.Format()
	files["go.mod"] = text
	return err
}

// tell says what to do next.
func (s *scaffold) tell(r *remote) {
	switch {
	case s.Builtin:
		r.say("%s is written. Next:\n  go test ./%s\n  add \"%s\": %s.New to connectors/connectors.go, and a row to connectors/README.md", s.dir, s.Place, s.Name, s.Package)
	case s.replace != "":
		r.say("%s is written. Next:\n  cd %s && go test .\n  go mod tidy    # once it runs: takes out of go.mod what it does not need", s.dir, s.dir)
	default:
		r.say("%s is written. Next:\n  cd %s && go mod tidy && go test .", s.dir, s.dir)
	}
}
