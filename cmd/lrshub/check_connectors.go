package main

import (
	"os"
	"path/filepath"

	"github.com/lrshub/lrshub/plugins/host/installed"
)

// installed checks the programs of third parties' connectors on this node. Without any it says nothing.
func (c *checks) installed(folder installed.Folder) {
	list, err := folder.List()
	if err != nil {
		c.fail("connectors", "give the hub's user read permission, or install it anew", "%v", err)
		return
	}
	for _, connector := range list {
		for _, sum := range connector.Versions {
			c.installedVersion(folder, connector.Name, sum)
		}
	}
}

func (c *checks) installedVersion(folder installed.Folder, name, sum string) {
	path := filepath.Join(string(folder), name, sum)
	info, err := os.Stat(path)
	var found string
	if err == nil {
		found, err = fileSum(path)
	}
	switch {
	case err != nil:
		c.fail("connectors", "install it anew", "connector %s: %v", name, err)
	case found != sum:
		c.fail("connectors", "find out who exchanged it, then install it anew: lrshub connector install PROGRAM --sha256 "+sum+" --as "+name, "connector %s: the program %s has SHA-256 %s; the host does not start it", name, path, found)
	case info.Mode().Perm()&0o022 != 0:
		c.warn("connectors", "chmod 555 "+path, "connector %s: others may write to %s (mode %04o); it would no longer start", name, path, info.Mode().Perm())
	default:
		c.ok("connectors", "connector %s with SHA-256 %s is as it was installed", name, sum[:12])
	}
}
