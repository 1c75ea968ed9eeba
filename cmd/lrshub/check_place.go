package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/tink-crypto/tink-go/v2/tink"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"

	"github.com/lrshub/lrshub/hub/audit"
	"github.com/lrshub/lrshub/hub/database"
	"github.com/lrshub/lrshub/hub/vault"
	"github.com/lrshub/lrshub/plugins/host"
	"github.com/lrshub/lrshub/plugins/host/installed"
	"github.com/lrshub/lrshub/workflows/sync"
)

// folder checks the data folder of up, as far as it can be seen whether a hub runs or not.
func (c *checks) folder(ctx context.Context, path string) {
	f := &folder{path: path}
	text, err := os.ReadFile(f.file("format"))
	if err != nil {
		c.fail("folder", "make it with: lrshub up --data "+path, "%s is no data folder of lrshub up: %v", path, err)
		return
	}
	format, err := strconv.Atoi(strings.TrimSpace(string(text)))
	switch {
	case err != nil:
		c.fail("folder", "restore it, or choose another folder", "%s is not a format number", f.file("format"))
	case format > dataFormat:
		c.fail("folder", "run the newer lrshub that made it", "format %d, this lrshub knows up to %d", format, dataFormat)
	default:
		c.ok("folder", "format %d, as this lrshub knows it", format)
	}
	c.running(ctx, f)
	for _, name := range []string{"admin.token", "master.key", "postgres.password"} {
		c.secretFile("secrets", f.file(name))
	}
	master := func() (tink.AEAD, error) {
		if _, err := os.Stat(f.file("master.key")); err != nil { // MasterKeyFile would make one
			return nil, err
		}
		return vault.MasterKeyFile(f.file("master.key"))
	}
	tenants, lived := tenantFiles(f.file("keys"))
	c.keys(f.file("keys"), master, tenants, lived)
	c.auditLog(f.file("audit"), lived)
	c.blobs(f.file("blobs"))
	c.installed(installed.Folder(f.file(connectorsFolder)))
	c.isolation(false, "or start lrshub up with --allow-connectors-without-namespace")
	if text, err := os.ReadFile(f.file("public-url")); err == nil {
		c.address(strings.TrimSpace(string(text)), "serve it to this machine only, or take serve and worker behind a proxy with TLS")
	}
}

// running says whether a hub runs on a folder, and whether it answers.
func (c *checks) running(ctx context.Context, f *folder) {
	lock, err := os.Open(f.file("lock"))
	if err != nil {
		c.fail("hub", "start it with: lrshub up --data "+f.path, "no hub was ever started here: %v", err)
		return
	}
	defer lock.Close() // lets go of the lock
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_SH|syscall.LOCK_NB); err == nil {
		c.ok("hub", "none runs here; start it with: lrshub up --data %s", f.path)
		return
	}
	var local localHub
	text, err := os.ReadFile(f.file(localHubFile))
	if err == nil {
		err = json.Unmarshal(text, &local)
	}
	if err != nil {
		c.warn("hub", "wait a moment; if it stays so, see "+f.file("lrshub.log"), "it is starting or stopping")
		return
	}
	ctx, cancel := context.WithTimeout(ctx, checkTime)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, local.URL+"/readyz", nil)
	if err != nil {
		c.fail("hub", "start it anew", "%s: %v", localHubFile, err)
		return
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		c.fail("hub", "see "+f.file("lrshub.log"), "it runs, and does not answer: %v", err)
		return
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		c.fail("hub", "see "+f.file("lrshub.log")+" and "+f.file("postgres", "postgres.log"), "it runs at %s, but is not ready: %s", local.URL, response.Status)
		return
	}
	c.ok("hub", "runs and is ready: %s/console/", local.URL)
}

// secretFile checks that only the hub's user may read a file.
func (c *checks) secretFile(check, path string) bool {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		c.fail(check, "restore it from its copy", "%v", err)
	case info.Mode().Perm()&0o077 != 0:
		c.fail(check, "chmod 600 "+path+", and give what it holds up if others did read it", "others may read %s (mode %04o)", path, info.Mode().Perm())
	default:
		c.ok(check, "%s is for the hub's user only", path)
		return true
	}
	return false
}

// tenantFiles lists the tenants that have a key file. All of them have a past.
func tenantFiles(dir string) (tenants []database.Tenant, lived map[database.TenantID]bool) {
	lived = map[database.TenantID]bool{}
	files, _ := filepath.Glob(filepath.Join(dir, "tenant-*.json")) // the pattern is good
	for _, path := range files {
		name := strings.TrimSuffix(strings.TrimPrefix(filepath.Base(path), "tenant-"), ".json")
		if n, err := strconv.ParseInt(name, 10, 32); err == nil {
			id := database.TenantID(n)
			tenants, lived[id] = append(tenants, database.Tenant{ID: id, Name: name}), true
		}
	}
	slices.SortFunc(tenants, func(a, b database.Tenant) int { return int(a.ID - b.ID) })
	return tenants, lived
}

// keys checks that the master key opens the key files of all tenants. A tenant with a past and no keys is lost until its file is restored.
func (c *checks) keys(dir string, master func() (tink.AEAD, error), tenants []database.Tenant, lived map[database.TenantID]bool) {
	key, err := master()
	if err != nil {
		c.fail("keys", "give the master key that the key folder was made with", "%v", err)
		return
	}
	info, err := os.Stat(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist) && !anyOf(lived):
		c.warn("keys", "the first serve or worker makes it; see that it is on a volume that all hubs share", "the key folder %s is not there yet", dir)
		return
	case err != nil:
		c.fail("keys", "mount it, or restore it from its copy", "key folder: %v", err)
		return
	case info.Mode().Perm()&0o077 != 0:
		c.fail("keys", "chmod 700 "+dir, "others may enter the key folder %s (mode %04o)", dir, info.Mode().Perm())
		return
	}
	ring, err := vault.OpenKeys(dir, key)
	if err != nil {
		c.fail("keys", "mend its permissions", "%v", err)
		return
	}
	var fresh []string
	for _, t := range tenants {
		_, err := ring.Tenant(t.ID)
		switch {
		case errors.Is(err, vault.ErrNoKeys) && !lived[t.ID]:
			fresh = append(fresh, t.Name)
		case err != nil:
			c.fail("keys", "restore the file and the master key from their copies before any hub starts", "tenant %s: %v", t.Name, err)
			return
		}
	}
	if len(fresh) > 0 {
		c.warn("keys", "the next serve or worker makes them", "no keys yet of the new tenants %s", strings.Join(fresh, ", "))
		return
	}
	c.ok("keys", "the master key opens those of %s in %s", countOf(len(tenants), "tenant", "tenants"), dir)
}

// anyOf says whether any tenant has a past.
func anyOf(lived map[database.TenantID]bool) bool {
	for _, l := range lived {
		if l {
			return true
		}
	}
	return false
}

func countOf(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

// auditLog checks the signing key and the folder that anchors checkpoints.
func (c *checks) auditLog(dir string, lived map[database.TenantID]bool) {
	path := filepath.Join(dir, "signing.key") // OpenSigner would make one
	switch _, err := os.Lstat(path); {
	case errors.Is(err, fs.ErrNotExist) && !anyOf(lived):
		c.warn("audit", "the first worker makes it; see that its folder is shared by all hubs, outside Postgres", "no signing key yet: %s", path)
		return
	case err != nil:
		c.fail("audit", "mount its folder, or restore it from its copy", "%v", err)
		return
	}
	if _, err := audit.OpenSigner(dir, rand.Reader); err != nil {
		c.fail("audit", "mend it before any hub starts", "%v", err)
		return
	}
	if err := writable(dir); err != nil {
		c.fail("audit", "give the hub's user write permission", "checkpoints cannot be anchored: %v", err)
		return
	}
	c.ok("audit", "the signing key is usable and for the hub's user only; checkpoints can be anchored in %s", dir)
}

// writable tries whether files can be made in a folder.
func writable(dir string) error {
	probe, err := os.CreateTemp(dir, ".check-*")
	if err != nil {
		return err
	}
	return errors.Join(probe.Close(), os.Remove(probe.Name()))
}

// blobs checks the folder of large attachments.
func (c *checks) blobs(dir string) {
	if dir == "" {
		c.warn("blobs", "set LRSHUB_BLOBS_DIR to a folder that all hubs share, to take larger ones", "attachments above 64 KiB are refused: there is no folder for them")
		return
	}
	info, err := os.Stat(dir)
	if errors.Is(err, fs.ErrNotExist) {
		c.warn("blobs", "the first hub to start makes it; see that it is on a volume that all hubs share", "the folder of large attachments %s is not there yet", dir)
		return
	}
	if err == nil && info.Mode().Perm()&0o077 != 0 {
		c.fail("blobs", "chmod 700 "+dir, "others may enter the folder of large attachments %s (mode %04o)", dir, info.Mode().Perm())
		return
	}
	if err == nil {
		err = writable(dir)
	}
	if err != nil {
		c.fail("blobs", "mount it, and give the hub's user write permission", "folder of large attachments: %v", err)
		return
	}
	c.ok("blobs", "attachments above 64 KiB can be kept in %s", dir)
}

// temporal checks that the frontend answers and has the namespace.
func (c *checks) temporal(ctx context.Context, s settings) {
	ctx, cancel := context.WithTimeout(ctx, checkTime)
	defer cancel()
	flow, err := client.NewLazyClient(client.Options{HostPort: s.Temporal, Namespace: s.Namespace, Logger: sync.Logger(slog.New(slog.DiscardHandler))})
	if err == nil {
		defer flow.Close()
		_, err = flow.WorkflowService().DescribeNamespace(ctx, &workflowservice.DescribeNamespaceRequest{Namespace: s.Namespace})
	}
	var unknown *serviceerror.NamespaceNotFound
	switch {
	case errors.As(err, &unknown):
		c.fail("temporal", "make it: temporal operator namespace create --namespace "+s.Namespace, "%s answers, but has no namespace %s", s.Temporal, s.Namespace)
	case err != nil:
		c.fail("temporal", "see that it runs, and that LRSHUB_TEMPORAL_ADDRESS names its frontend", "no answer from %s: %v", s.Temporal, firstLine(err))
	default:
		c.ok("temporal", "%s answers and has the namespace %s", s.Temporal, s.Namespace)
	}
}

func firstLine(err error) string {
	line, _, _ := strings.Cut(err.Error(), "\n")
	return line
}

// isolation checks that connectors can be cut off from the network here.
func (c *checks) isolation(allowed bool, orAllow string) {
	switch err := host.CheckIsolation(); {
	case err == nil:
		c.ok("connectors", "they get network namespaces of their own")
	case allowed:
		c.warn("connectors", "allow namespaces to cut them off", "they run without namespaces, as was allowed: they can reach the network by themselves")
	default:
		c.fail("connectors", orAllow, "%v", err)
	}
}

// address checks that credentials cross no network in clear.
func (c *checks) address(public, do string) {
	u, err := url.Parse(public)
	switch {
	case err != nil || u.Hostname() == "" || u.Scheme != "http" && u.Scheme != "https":
		c.fail("public url", "write it like https://hub.example.org", "%q is no address", public)
	case u.Scheme == "https":
		c.ok("public url", "%s", public)
	case u.Hostname() == "localhost" || net.ParseIP(u.Hostname()).IsLoopback():
		c.ok("public url", "%s, this machine only", public)
	default:
		c.fail("public url", do, "%s is not https: credentials and records would cross the network in clear", public)
	}
}
