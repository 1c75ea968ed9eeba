package main_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/lrshub/lrshub/plugins/sdk/files/filestest"
)

// A folder on an SFTP server, through the hub: the connector has no network of its own, the password is a secret of the connection, and a server
// that shows another key is not spoken to.
func TestSyncOverSFTP(t *testing.T) {
	t.Parallel()
	admin := tenantOf(t, "sftp")
	tables := tablesFor(t, 200)
	server := filestest.Start(t, tables.Folder)
	text, err := os.ReadFile(example("registrations"))
	if err != nil {
		t.Fatal(err)
	}
	sftp := fmt.Sprintf("config:\n  folder: .\n  sftp:\n    host: %s\n    port: %d\n    user: %s\n    password: %s\n    host_keys: [%q]\n", server.Host, server.Port, filestest.User, filestest.Password, server.HostKey)
	config := filepath.Join(folder(t), "sftp.yaml")
	write := func(text string) {
		if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	good := strings.Replace(string(text), "config:\n", sftp, 1)
	write(good)
	admin.must("connection", "add", "registrations", "--config", config)
	admin.must("connection", "check", "registrations")
	if shown := admin.must("connection", "list", "-o", "json"); strings.Contains(shown, filestest.Password) {
		t.Error("the password is shown")
	}
	registered, unregistered := tables.Registrations()
	admin.sync("registrations").stored(t, "first reading", registered+unregistered, 0)
	admin.sync("registrations").stored(t, "second reading", 0, 0)

	write(strings.Replace(good, server.HostKey, "SHA256:uNiVztksCsDhcc0u9e8BrrJXVGDxotINkqlxUTvyy0E", 1))
	admin.must("connection", "add", "impostor", "--config", config)
	admin.fails(1, []string{"none of sftp.host_keys"}, "connection", "check", "impostor")
	write(strings.Replace(good, filestest.Password, "zq-wrong", 1))
	admin.must("connection", "add", "wrong", "--config", config)
	if c := admin.sync("wrong"); c.State != "failed" || c.Class != "auth" || strings.Contains(c.Error, "zq-wrong") {
		t.Errorf("a wrong password: %+v", c)
	}
}
