package temporal

import (
	"crypto/rand"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// Ports, from the base on: frontend, history, matching, worker. The server keeps a port in a smallint, so they must be below 32768.
const (
	portCount = 4
	portMax   = 32767
)

func address(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }

// choosePorts returns the first of four free ports: the base asked for, else that of the last start, else a random one.
func choosePorts(dir string, asked int) (int, error) {
	if asked != 0 {
		if asked < 1 || asked+portCount-1 > portMax {
			return 0, fmt.Errorf("%w: %d to %d: choose a base from 1 to %d", ErrPort, asked, asked+portCount-1, portMax-portCount+1)
		}
		if !portsFree(asked) {
			return 0, fmt.Errorf("%w: one of 127.0.0.1:%d to %d is taken by another program; stop that or choose another base", ErrPort, asked, asked+portCount-1)
		}
		return asked, nil
	}
	path := filepath.Join(dir, "temporal.port")
	if text, err := os.ReadFile(path); err == nil {
		if base, err := strconv.Atoi(strings.TrimSpace(string(text))); err == nil && base > 0 && base+portCount-1 <= portMax && portsFree(base) {
			return base, nil
		}
	}
	const first, last = 25500, 32700
	for range 200 {
		var b [2]byte
		if _, err := rand.Read(b[:]); err != nil {
			return 0, err
		}
		base := first + (int(b[0])<<8|int(b[1]))%(last-first)
		if !portsFree(base) {
			continue
		}
		if err := os.WriteFile(path, []byte(strconv.Itoa(base)+"\n"), 0o600); err != nil {
			return 0, fmt.Errorf("%w: %w", ErrFolder, err)
		}
		return base, nil
	}
	return 0, fmt.Errorf("%w: found no four free ones from %d to %d", ErrPort, first, last)
}

func portsFree(base int) bool {
	for port := base; port < base+portCount; port++ {
		l, err := net.Listen("tcp", address(port))
		if err != nil {
			return false
		}
		l.Close()
	}
	return true
}
