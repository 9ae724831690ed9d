package gotest

import (
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
)

// Modules returns the directories below root that hold a Go module with at least one Go file, root's own
// module first, each path beginning with root. As the go command does, it passes over vendor, testdata and
// directories that begin with a dot or an underscore; node_modules too.
func Modules(root string) ([]string, error) {
	var modules, sources []string
	err := walk(root, func(path string) {
		switch {
		case filepath.Base(path) == "go.mod":
			modules = append(modules, filepath.Dir(path))
		case filepath.Ext(path) == ".go":
			sources = append(sources, path)
		}
	})
	if err != nil {
		return nil, fmt.Errorf("gotest: find modules: %w", err)
	}

	// The innermost module owns a file: the longest directory that the path begins with.
	slices.SortFunc(modules, func(a, b string) int { return len(b) - len(a) })
	used := make(map[string]bool)
	for _, source := range sources {
		for _, module := range modules {
			if module == "." || strings.HasPrefix(source, module+string(filepath.Separator)) {
				used[module] = true
				break
			}
		}
	}
	modules = slices.DeleteFunc(modules, func(module string) bool { return !used[module] })
	slices.Sort(modules)
	return modules, nil
}

// walk calls visit for every file below root that is part of the repository's own source.
func walk(root string, visit func(path string)) error {
	return filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := entry.Name()
		if !entry.IsDir() {
			visit(path)
			return nil
		}
		if path != root && (name[0] == '.' || name[0] == '_' ||
			name == "node_modules" || name == "testdata" || name == "vendor") {
			return fs.SkipDir
		}
		return nil
	})
}
