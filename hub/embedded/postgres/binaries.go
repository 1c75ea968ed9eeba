package postgres

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	embedded "github.com/fergusstrange/embedded-postgres"
)

// oldest is the oldest major version that the hub's SQL runs on.
const oldest = 14

// binaries is a folder with initdb and postgres of one major version.
type binaries struct {
	dir     string
	version int
}

// find looks for Postgres: BinDir, else PATH, else /usr/lib/postgresql/*/bin (newest first), else what was fetched before, else
// it fetches. A folder that has a cluster takes binaries of the cluster's version before others.
func find(ctx context.Context, options Options, data string, user *childUser) (binaries, error) {
	want, err := clusterVersion(data)
	if err != nil {
		return binaries{}, err
	}
	fetched := filepath.Join(options.Dir, "binaries")
	candidates := []string{options.BinDir}
	if options.BinDir == "" {
		candidates = searchPath()
		candidates = append(candidates, filepath.Join(fetched, "bin"))
	}
	found, problems := probe(ctx, candidates, user)
	if len(found) == 0 && options.BinDir == "" && (want == 0 || want == fetchedMajor) {
		options.Logger.Info("no Postgres found: fetching it once", "version", string(fetchedVersion))
		if err := fetch(fetched, repository); err != nil {
			return binaries{}, fmt.Errorf("%w: none in PATH or /usr/lib/postgresql, and fetching failed; install Postgres %d or newer, or say where it is: %w",
				ErrNoBinaries, oldest, errors.Join(append(problems, err)...))
		}
		found, problems = probe(ctx, []string{filepath.Join(fetched, "bin")}, user)
	}
	if len(found) == 0 {
		return binaries{}, fmt.Errorf("%w: install Postgres %d or newer, or say where initdb and postgres are: %w", ErrNoBinaries, oldest, errors.Join(problems...))
	}
	if want == 0 {
		return found[0], nil
	}
	for _, b := range found {
		if b.version == want {
			return b, nil
		}
	}
	return binaries{}, fmt.Errorf("%w: %s was made by Postgres %d, found is Postgres %d in %s; install Postgres %d beside it, or upgrade the folder with pg_upgrade",
		ErrVersion, data, want, found[0].version, found[0].dir, want)
}

// searchPath lists the folders where Postgres may be, best first.
func searchPath() []string {
	var dirs []string
	if path, err := exec.LookPath("postgres"); err == nil {
		if real, err := filepath.EvalSymlinks(path); err == nil {
			dirs = append(dirs, filepath.Dir(real))
		}
	}
	var installed []string
	for _, pattern := range []string{"/usr/lib/postgresql/*/bin", "/usr/pgsql-*/bin", "/opt/homebrew/opt/postgresql@*/bin", "/usr/local/opt/postgresql@*/bin"} {
		match, _ := filepath.Glob(pattern) // only a bad pattern is an error
		installed = append(installed, match...)
	}
	slices.SortStableFunc(installed, func(a, b string) int { return pathVersion(b) - pathVersion(a) })
	return append(dirs, installed...)
}

var digits = regexp.MustCompile(`\d+`)

// pathVersion is the last number in a folder's name.
func pathVersion(dir string) int {
	numbers := digits.FindAllString(dir, -1)
	if len(numbers) == 0 {
		return 0
	}
	n, _ := strconv.Atoi(numbers[len(numbers)-1]) // digits only
	return n
}

// probe keeps the folders whose Postgres runs as the child's user and is new enough.
func probe(ctx context.Context, dirs []string, user *childUser) (found []binaries, problems []error) {
	for _, dir := range dirs {
		if _, err := os.Stat(filepath.Join(dir, "initdb")); err != nil {
			problems = append(problems, fmt.Errorf("%s: %w", dir, err))
			continue
		}
		b := binaries{dir: dir}
		out, err := b.command(ctx, user, "postgres", "--version").Output()
		if err != nil {
			problems = append(problems, fmt.Errorf("%s/postgres does not run as %s: %w", dir, user, err))
			continue
		}
		// "postgres (PostgreSQL) 15.13 (Debian ...)"
		if _, rest, ok := strings.Cut(string(out), "(PostgreSQL) "); ok {
			b.version, _ = strconv.Atoi(digits.FindString(rest)) // 0 fails below
		}
		if b.version < oldest {
			problems = append(problems, fmt.Errorf("%s: Postgres %d is too old", dir, b.version))
			continue
		}
		found = append(found, b)
	}
	return found, problems
}

// command prepares one of the binaries, to run as the child's user without the hub's environment and group.
func (b binaries) command(ctx context.Context, user *childUser, name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, filepath.Join(b.dir, name), args...)
	cmd.Env = []string{"PATH=" + b.dir + ":/usr/bin:/bin", "LC_ALL=C", "TZ=UTC"}
	cmd.Dir = "/"
	cmd.SysProcAttr = childAttributes(user)
	return cmd
}

const (
	fetchedVersion = embedded.V18
	fetchedMajor   = 18
	repository     = "https://repo1.maven.org/maven2" // the library's own
)

// fetch downloads and unpacks Postgres into dir. The library cannot only fetch: it goes on to start a scratch cluster, which
// fails under root; what counts is whether the binaries are there afterwards.
func fetch(dir, repository string) error {
	scratch, err := os.MkdirTemp("", "lrshub-fetch-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(scratch)
	port, err := freePort()
	if err != nil {
		return err
	}
	var said strings.Builder
	db := embedded.NewDatabase(embedded.DefaultConfig().Version(fetchedVersion).BinaryRepositoryURL(repository).Port(uint32(port)).BinariesPath(dir).
		CachePath(filepath.Join(scratch, "cache")).RuntimePath(filepath.Join(scratch, "run")).DataPath(filepath.Join(scratch, "data")).
		StartTimeout(time.Minute).Logger(&said))
	err = db.Start()
	if err == nil {
		err = db.Stop()
	}
	if _, missing := os.Stat(filepath.Join(dir, "bin", "initdb")); missing != nil {
		return errors.Join(err, missing)
	}
	return nil
}
