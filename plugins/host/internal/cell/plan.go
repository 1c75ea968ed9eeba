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
	args   = "--"
)

// Argv is the command line of the first stage.
func (p Plan) Argv() []string {
	return slices.Concat([]string{marker, p.Program, p.Sockets}, p.Hide, []string{args}, p.Args)
}

// parse is the inverse of Argv. A hidden path is absolute, so none is taken for the separator.
func parse(argv []string) (Plan, bool) {
	end := slices.Index(argv, args)
	if len(argv) < 4 || argv[0] != marker || end < 3 {
		return Plan{}, false
	}
	return Plan{Program: argv[1], Sockets: argv[2], Hide: argv[3:end], Args: argv[end+1:]}, true
}
