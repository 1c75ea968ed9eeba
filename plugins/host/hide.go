package host

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
)

// view is what one child sees of the file system: all but hide, of that show again, and sockets, the only folder that it may
// write to. Paths are absolute and without links.
type view struct {
	hide, show []string
	sockets    string
}

// services is where the sockets of a machine's services lie; a service may obey the hub's user, or root, without further question.
var services = []string{"/run", "/var/run"}

// hidden is the list of what a connector must not see, as its cell needs it: absolute, without links, nothing inside another
// entry. It is made anew for each start, for links may be moved.
func hidden(wanted []string) ([]string, error) {
	var all []string
	for _, path := range wanted {
		resolved, err := resolve(path)
		if err != nil {
			return nil, fmt.Errorf("%w: what connectors must not see has to exist: %w", ErrUnknown, err)
		}
		if resolved == string(filepath.Separator) {
			return nil, fmt.Errorf("%w: the whole file system cannot be hidden from connectors (%s); keep what is secret in a folder of its own", ErrUnknown, path)
		}
		all = append(all, resolved)
	}
	for _, path := range services {
		if resolved, err := resolve(path); err == nil {
			all = append(all, resolved)
		} else if !errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("%w: %w", ErrUnknown, err)
		}
	}
	slices.Sort(all)
	var list []string
	for _, path := range all {
		if !slices.ContainsFunc(list, func(above string) bool { return within(path, above) }) {
			list = append(list, path)
		}
	}
	return list, nil
}

// shown is the list of folders that come back into sight; what is not there, and what is not hidden, is left out.
func shown(wanted, hide []string) (list []string) {
	for _, path := range wanted {
		resolved, err := resolve(path)
		if err == nil && slices.ContainsFunc(hide, func(above string) bool { return within(resolved, above) }) {
			list = append(list, resolved)
		}
	}
	return list
}

func resolve(path string) (string, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	return filepath.EvalSymlinks(path)
}

// within says whether a clean path is another or lies below it.
func within(path, above string) bool {
	return path == above || strings.HasPrefix(path, above+string(filepath.Separator))
}
