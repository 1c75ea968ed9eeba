// Package cell is the first stage of a connector's process on Linux. The host starts its own program under the name that
// Plan.Argv gives, in new namespaces for users, mounts, processes, network and IPC; before any other code of the program runs, this
// package makes the file system read-only, covers what the connector must not see, throws away every privilege, and puts
// the connector's program in its own place. Start reading at Plan.build.
//
// What covers a folder cannot be taken away again: that needs the capability that is gone, and in a user namespace made
// anew all mounts are locked (mount_namespaces(7)).
package cell

import "slices"

// Plan says what the cell has and whom it is for.
type Plan struct {
	// Program is the path of the connector's program; "" is the file that the process inherits as Inherited.
	Program string
	// Sockets is the only folder that can be written to. It lies in a hidden one, and comes back into sight. "": there is none.
	Sockets string
	// Hide lists folders and files: absolute, without symbolic links, none inside another. What is not there is skipped.
	Hide []string
	// Show lists folders in hidden ones that come back into sight, to be read only: absolute, without symbolic links.
	Show []string
	// Args are the program's arguments, its name first. Empty: the process builds the cell, reports and ends.
	Args []string
}

// Open files that the first stage expects.
const (
	Report    = 3 // the writing end of a pipe: nothing and its end if the program runs, else the reason why not
	Inherited = 4 // the program, if Plan.Program is ""
)

// NotExecutable begins the report of a cell that stands but whose program is no program. Any other report says why there is no cell.
const NotExecutable = "not executable: "

const (
	marker = "lrshub-connector-cell" // the name of the first stage, as a program's name in its arguments
	next   = "--"                    // between two lists
)

// Argv is the command line of the first stage.
func (p Plan) Argv() []string {
	return slices.Concat([]string{marker, p.Program, p.Sockets}, p.Hide, []string{next}, p.Show, []string{next}, p.Args)
}

// parse is the inverse of Argv. A path in a list is absolute, so none is taken for what stands between lists.
func parse(argv []string) (p Plan, ok bool) {
	if len(argv) < 3 || argv[0] != marker {
		return Plan{}, false
	}
	p.Program, p.Sockets, argv = argv[1], argv[2], argv[3:]
	for _, list := range []*[]string{&p.Hide, &p.Show} {
		end := slices.Index(argv, next)
		if end < 0 {
			return Plan{}, false
		}
		*list, argv = argv[:end], argv[end+1:]
	}
	p.Args = argv
	return p, true
}
