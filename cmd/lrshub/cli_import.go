package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"sync"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"github.com/lrshub/lrshub/cmd/internal/archive"
	"github.com/lrshub/lrshub/hub/disclose"
)

// importResult is what an import did.
type importResult struct {
	Statements        int64 `json:"statements"`        // read
	New               int64 `json:"new"`               // stored by this import
	Existing          int64 `json:"existing"`          // the hub had them already, with equal content
	Rejected          int64 `json:"rejected"`          // written to --rejected
	Documents         int64 `json:"documents"`         // stored
	DocumentsExisting int64 `json:"documentsExisting"` // the hub had one of that name, and keeps it
	Verified          bool  `json:"verified"`          // all new ones were read again and are equal
}

func statementImport(r *remote) *cobra.Command {
	var rejected string
	var noVerify bool
	c := &cobra.Command{
		Use:   "import FOLDER|FILE|-",
		Short: "Take over the statements and documents of another store, with stored and authority as they are",
		Long: `Take over the statements and documents of another store: a folder that lrshub statement export --archive has written, or NDJSON (one statement a
line, compressed with gzip or not), from a file or standard input.

Statements keep their id, stored and authority; those that the hub has already are left alone. The credential needs the scope statements/import, for
documents also state and profile. An import that was broken off goes on where it was when it is run again. At its end what was stored is read again from the
hub's feed and compared with what was sent (this needs a scope that reads, such as all/read).

By their stored the statements stand in the past: what X-Experience-API-Consistent-Through announced before an import does not cover it, and who asks only for
what was stored since then misses them. Who follows the feed by position (lrshub statement follow) sees them when they come.`,
		Example: `  lrshub statement import ./old-store --token "$TOKEN"
  zcat statements.ndjson.gz | lrshub statement import - --rejected rejected.ndjson`,
		Args: exactly("FOLDER|FILE|-"),
		RunE: func(c *cobra.Command, args []string) error {
			if err := r.locate(); err != nil {
				return err
			}
			in, err := archive.Open(args[0], os.Stdin)
			if errors.Is(err, fs.ErrNotExist) {
				return exitError{exitNotFound, fmt.Sprintf("%s: no such file or folder", args[0])}
			}
			if err != nil {
				return err
			}
			defer in.Close()
			i := &importing{remote: r, in: in, place: args[0], verify: !noVerify}
			if rejected != "" {
				f, err := os.OpenFile(rejected, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
				if err != nil {
					return err
				}
				defer f.Close()
				i.rejected = f
			}
			if err := i.run(c.Context()); err != nil {
				return err
			}
			return i.print()
		},
	}
	c.Flags().StringVar(&rejected, "rejected", "", "append statements that the hub does not take to this file, and go on (default: stop at the first)")
	c.Flags().BoolVar(&noVerify, "no-verify", false, "do not read again what was stored")
	return c
}

// importing is one import.
type importing struct {
	*remote
	in       *archive.Reader
	place    string
	rejected io.Writer // nil: the first refusal ends it
	verify   bool

	checkpoint checkpoint
	mu         sync.Mutex
	expected   map[uuid.UUID]expectation // by id, what the hub acknowledged
	result     importResult
}

// checkpoint is how far an import is, kept beside what it reads.
type checkpoint struct {
	Hub    string `json:"hub"`
	Lines  int64  `json:"lines"`  // acknowledged, from the first on
	Before string `json:"before"` // cursor of the hub's feed before the import
}

func (i *importing) run(ctx context.Context) error {
	i.expected = map[uuid.UUID]expectation{}
	if err := i.begin(ctx); err != nil {
		return err
	}
	if err := i.statements(ctx); err != nil {
		return err
	}
	if err := i.in.Documents(func(line []byte) error { return i.document(ctx, line) }); err != nil {
		return err
	}
	if i.verify {
		if err := i.compare(ctx); err != nil {
			return err
		}
	}
	return i.forget()
}

func (i *importing) checkpointFile() string { return i.place + ".import.json" }

// begin reads the checkpoint of an earlier run, or notes where the hub's feed stands.
func (i *importing) begin(ctx context.Context) (err error) {
	text, err := os.ReadFile(i.checkpointFile())
	if err == nil && i.place != "-" {
		var c checkpoint
		if err := json.Unmarshal(text, &c); err == nil && c.Hub == i.url {
			i.checkpoint = c
			i.say("going on after %d statements", c.Lines)
			return nil
		}
	}
	i.checkpoint = checkpoint{Hub: i.url}
	if !i.verify {
		return nil
	}
	i.checkpoint.Before, err = i.feedEnd(ctx)
	var refused exitError
	if errors.As(err, &refused) && refused.code == exitDenied {
		i.say("what is stored cannot be read again and compared: the credential may not read (--no-verify says that this is meant)")
		i.verify, err = false, nil
	}
	return err
}

// advance keeps how far the import is.
func (i *importing) advance(lines int64) error {
	i.checkpoint.Lines = lines
	if i.place == "-" {
		return nil
	}
	text, err := json.Marshal(i.checkpoint)
	if err != nil {
		return err
	}
	next := i.checkpointFile() + ".new"
	if err := os.WriteFile(next, text, 0o600); err != nil {
		return err
	}
	return os.Rename(next, i.checkpointFile())
}

// forget removes the checkpoint of an import that is done.
func (i *importing) forget() error {
	if err := os.Remove(i.checkpointFile()); i.place != "-" && err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// documentPaths are the resources that keep documents, with the parameter that names one.
var documentPaths = map[string][2]string{
	"state": {"/activities/state", "stateId"}, "agent-profiles": {"/agents/profile", "profileId"}, "activity-profiles": {"/activities/profile", "profileId"},
}

// document stores one document, unless the hub has one of that name.
func (i *importing) document(ctx context.Context, line []byte) error {
	var d disclose.ExportedDocument
	if err := json.Unmarshal(line, &d); err != nil {
		return fmt.Errorf("a document of the export is not JSON: %w", err)
	}
	place, ok := documentPaths[d.Resource]
	if !ok {
		return fmt.Errorf("a document of the export is of an unknown resource %q", d.Resource)
	}
	query := url.Values{place[1]: {d.ID}}
	if d.ActivityID != "" {
		query.Set("activityId", d.ActivityID)
	}
	if d.Agent != nil {
		query.Set("agent", string(d.Agent))
	}
	if d.Registration != uuid.Nil {
		query.Set("registration", d.Registration.String())
	}
	header := http.Header{"Content-Type": {d.ContentType}, "If-None-Match": {"*"}}
	status, err := i.deliver(ctx, http.MethodPut, place[0]+"?"+query.Encode(), header, content(d.Content))
	switch {
	case err != nil && status != http.StatusPreconditionFailed:
		return fmt.Errorf("a document of %s: %w", d.Resource, err)
	case err != nil:
		i.result.DocumentsExisting++
	default:
		i.result.Documents++
	}
	return nil
}

func (i *importing) print() error {
	res := i.result
	if i.output == "json" {
		if err := printJSON(os.Stdout, res); err != nil {
			return err
		}
	} else {
		fmt.Printf("%d statements: %d new, %d known already, %d rejected; %d documents, %d known already\n",
			res.Statements, res.New, res.Existing, res.Rejected, res.Documents, res.DocumentsExisting)
	}
	if res.Verified {
		i.say("read again: all new statements are equal to what was sent")
	}
	if res.Rejected > 0 {
		return exitError{exitPartly, fmt.Sprintf("%d statements were rejected", res.Rejected)}
	}
	return nil
}
