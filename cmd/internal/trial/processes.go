package trial

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Process is a process as /proc shows it. Two processes are the same only if both fields are.
type Process struct {
	PID   int
	Start string // of its life, in clock ticks since the machine's
}

// stat reads a process's parent and start.
func stat(pid int) (parent int, start string, ok bool) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, "", false
	}
	_, rest, ok := strings.Cut(string(text), ") ") // the name before it may hold anything
	fields := strings.Fields(rest)
	if !ok || len(fields) < 20 || fields[0] == "Z" {
		return 0, "", false
	}
	parent, err = strconv.Atoi(fields[1])
	return parent, fields[19], err == nil
}

// all lists the processes of this machine.
func all() ([]int, error) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil, err
	}
	var pids []int
	for _, e := range entries {
		if pid, err := strconv.Atoi(e.Name()); err == nil {
			pids = append(pids, pid)
		}
	}
	return pids, nil
}

func arguments(pid int) []string {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	if err != nil {
		return nil // ended meanwhile
	}
	return strings.Split(strings.TrimRight(string(text), "\x00"), "\x00")
}

// Descendants lists what the hub's process has started, and what that has started in turn.
func (h *Hub) Descendants() ([]Process, error) {
	if h.PID() == 0 {
		return nil, nil
	}
	return descendants(h.PID())
}

func descendants(of int) ([]Process, error) {
	pids, err := all()
	if err != nil {
		return nil, err
	}
	children, starts := map[int][]int{}, map[int]string{}
	for _, pid := range pids {
		if parent, start, ok := stat(pid); ok {
			children[parent], starts[pid] = append(children[parent], pid), start
		}
	}
	var found []Process
	for next := children[of]; len(next) > 0; next = next[1:] {
		found = append(found, Process{next[0], starts[next[0]]})
		next = append(next, children[next[0]]...)
	}
	return found, nil
}

// Postmaster gives the embedded Postgres' first process.
func (h *Hub) Postmaster() (Process, bool) {
	text, err := os.ReadFile(filepath.Join(h.Data, "postgres", "data", "postmaster.pid"))
	if err != nil {
		return Process{}, false
	}
	line, _, _ := strings.Cut(string(text), "\n")
	pid, err := strconv.Atoi(line)
	if err != nil {
		return Process{}, false
	}
	parent, start, ok := stat(pid)
	return Process{pid, start}, ok && parent == h.PID()
}

// Connectors lists the hub's connector processes.
func (h *Hub) Connectors() []Process {
	if h.PID() == 0 {
		return nil
	}
	return Connectors(h.PID())
}

// Connectors lists the connector processes that a process has started.
func Connectors(of int) []Process {
	children, err := descendants(of)
	if err != nil {
		return nil
	}
	return slices.DeleteFunc(children, func(p Process) bool {
		args := arguments(p.PID)
		return len(args) < 3 || args[1] != "connector" || args[2] != "serve"
	})
}

// Remains lists processes that belong to the hub's folder: those that name it in their arguments or environment, and the
// backends of its Postgres. Without a hub there must be none.
func (h *Hub) Remains() ([]int, error) {
	pids, err := all()
	if err != nil {
		return nil, err
	}
	backend := "postgres: " + h.clusterName() + ":"
	var found []int
	for _, pid := range pids {
		parent, _, alive := stat(pid)
		if us := os.Getpid(); !alive || pid == us || parent == us && pid != h.PID() { // a command of ours
			continue
		}
		args := arguments(pid)
		environment, _ := os.ReadFile(fmt.Sprintf("/proc/%d/environ", pid)) // of another user: not ours
		named := slices.ContainsFunc(args, func(a string) bool { return a == h.Data || strings.HasPrefix(a, h.Data+"/") })
		if named || bytes.Contains(environment, []byte("="+h.Data+"/")) || len(args) > 0 && strings.HasPrefix(args[0], backend) {
			found = append(found, pid)
		}
	}
	return found, nil
}

// clusterName is what the hub's Postgres writes into the titles of its processes.
func (h *Hub) clusterName() string {
	text, err := os.ReadFile(filepath.Join(h.Data, "postgres", "postgresql.conf"))
	if err != nil {
		return "\x00"
	}
	_, rest, _ := strings.Cut(string(text), "cluster_name = '")
	name, _, _ := strings.Cut(rest, "'")
	return name
}

// AwaitGone waits until none of the processes lives and none belongs to the hub's folder; what is left then is an error.
func (h *Hub) AwaitGone(ctx context.Context, processes []Process) error {
	return awaitGone(ctx, processes, h.Remains)
}

// AwaitEnd waits until none of the processes lives; what is left then is an error.
func AwaitEnd(ctx context.Context, processes []Process) error {
	return awaitGone(ctx, processes, func() ([]int, error) { return nil, nil })
}

func awaitGone(ctx context.Context, processes []Process, others func() ([]int, error)) error {
	for {
		left, err := others()
		if err != nil {
			return err
		}
		for _, p := range processes {
			if _, start, alive := stat(p.PID); alive && start == p.Start && !slices.Contains(left, p.PID) {
				left = append(left, p.PID)
			}
		}
		if len(left) == 0 {
			return nil
		}
		select {
		case <-ctx.Done():
			var titles []string
			for _, pid := range left {
				titles = append(titles, fmt.Sprintf("%d %s", pid, strings.Join(arguments(pid), " ")))
			}
			return fmt.Errorf("processes without a hub: %s", strings.Join(titles, "; "))
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// PSS is the memory that processes take, shared pages counted in parts, in bytes. One that ended counts nothing.
func PSS(pids ...int) int64 {
	var sum int64
	for _, pid := range pids {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
		if err != nil {
			continue
		}
		for line := range strings.Lines(string(text)) {
			if rest, ok := strings.CutPrefix(line, "Pss:"); ok {
				kib, _ := strconv.ParseInt(strings.Fields(rest)[0], 10, 64) // the kernel's own number
				sum += kib << 10
			}
		}
	}
	return sum
}
