package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/lrshub/lrshub/hub/audit"
)

func auditCommand(r *remote) *cobra.Command {
	return use("audit", "The log that tells who did and saw what, and that anyone can verify", r, auditList(r), auditVerify(r), auditProve(r), auditExport(r), auditKey(r), auditRestart(r))
}

// auditEvent is an event as the API lists it.
type auditEvent struct {
	ID       string         `json:"id"`
	Index    int64          `json:"index"`
	At       time.Time      `json:"at"`
	Kind     string         `json:"kind"`
	Actor    string         `json:"actor"`
	Purpose  string         `json:"purpose"`
	Subjects []string       `json:"subjects"`
	Fields   map[string]any `json:"fields"`
}

func auditList(r *remote) *cobra.Command {
	query := map[string]*string{}
	c := &cobra.Command{
		Use: "list", Short: "List events, newest first", Args: exactly(),
		Example: `  lrshub audit list --kind statement.read
  lrshub audit list --subject 4f0c… -o json      who looked at this person's records`,
	}
	for name, help := range map[string]string{
		"kind": "such as statement.read", "actor": "id of a credential or run", "subject": "id of a subject", "since": "RFC 3339", "until": "RFC 3339",
		"after": "events older than the one with this id", "limit": "at most so many (default 100)",
	} {
		query[name] = c.Flags().String(name, "", help)
	}
	c.RunE = func(c *cobra.Command, _ []string) error {
		q := url.Values{}
		for name, value := range query {
			if *value != "" {
				q.Set(name, *value)
			}
		}
		var list listOf[auditEvent]
		if err := r.call(c.Context(), http.MethodGet, "/audit/events?"+q.Encode(), nil, &list); err != nil {
			return err
		}
		return show(r, list.Items,
			column[auditEvent]{"index", func(e auditEvent) string { return strconv.FormatInt(e.Index, 10) }},
			column[auditEvent]{"at", func(e auditEvent) string { return when(&e.At) }},
			column[auditEvent]{"kind", func(e auditEvent) string { return e.Kind }},
			column[auditEvent]{"actor", func(e auditEvent) string { return e.Actor }},
			column[auditEvent]{"subjects", func(e auditEvent) string { return strconv.Itoa(len(e.Subjects)) }},
			column[auditEvent]{"fields", func(e auditEvent) string { text, _ := json.Marshal(e.Fields); return string(text) }},
			column[auditEvent]{"id", func(e auditEvent) string { return e.ID }})
	}
	return c
}

func auditVerify(r *remote) *cobra.Command {
	var offline, key, anchor string
	c := &cobra.Command{
		Use:   "verify",
		Short: "Prove the whole log, or name the place that was altered (exit code 1)",
		Long: `Prove every event, every column beside it, every hash, every checkpoint and the anchor. What is altered, removed or put in is named, and the
exit code is 1. A checkpoint that only the table or only the anchor has is no finding (a hub that dies while signing leaves one); a log that no checkpoint covers is. With --offline the log is an export and no hub is asked: give the verifier key that you got from the hub when you trusted it,
and the anchor file if you have it. Copy the anchor before you export: one copied later knows of later events, which the export is then said to miss.`,
		Example: `  lrshub audit verify
  cp data/audit/tenant-1.anchor . && lrshub audit export > log.ndjson
  lrshub audit verify --offline log.ndjson --key "$(cat data/audit/tenant-1.vkey)" --anchor tenant-1.anchor`,
		Args: exactly(),
		RunE: func(c *cobra.Command, _ []string) error {
			var report audit.Report
			if offline == "" {
				if err := r.call(c.Context(), http.MethodPost, "/audit/verify", nil, &report); err != nil {
					return err
				}
			} else {
				f, err := os.Open(offline)
				if err != nil {
					return err
				}
				defer f.Close()
				bar := progress(r, -1, "events")
				found, err := audit.Verify(c.Context(), audit.OpenExport(f), audit.VerifyOptions{VerifierKey: key, Anchor: anchor, Progress: func(done, total int64) {
					bar.ChangeMax64(total)
					_ = bar.Set64(done)
				}})
				_ = bar.Finish()
				if found == nil || err != nil && !errors.Is(err, audit.ErrTampered) {
					return err
				}
				report = *found
			}
			if err := showReport(r, report); err != nil {
				return err
			}
			if offline != "" && slices.ContainsFunc(report.Findings, func(f audit.Finding) bool { return f.Place == audit.PlaceAnchor }) {
				r.say("Was the anchor copied after the export was made? Then it knows of later events: copy it, export anew, and verify that.")
			}
			if report.FindingCount > 0 {
				return exitError{exitFailed, report.Err().Error()}
			}
			return nil
		},
	}
	c.Flags().StringVar(&offline, "offline", "", "verify this export instead of asking a hub")
	c.Flags().StringVar(&key, "key", "", "verifier key (with --offline)")
	c.Flags().StringVar(&anchor, "anchor", "", "anchor file (with --offline)")
	return c
}

func showReport(r *remote, report audit.Report) error {
	if r.output == "json" || r.output == "jsonl" {
		return printJSON(os.Stdout, report)
	}
	_, err := fmt.Print(report.String())
	return err
}

func auditProve(r *remote) *cobra.Command {
	return &cobra.Command{
		Use: "prove EVENT", Short: "Print the proof that an event stands in the log (JSON, RFC 6962 inclusion)", Args: exactly("EVENT"),
		Example: `  lrshub audit prove 01a20d93-64c8-7828-800a-5c1ff314f4ff > proof.json`,
		RunE: func(c *cobra.Command, args []string) error {
			var proof json.RawMessage
			if err := r.call(c.Context(), http.MethodGet, "/audit/events/"+url.PathEscape(args[0])+"/proof", nil, &proof); err != nil {
				return err
			}
			return printJSON(os.Stdout, proof)
		},
	}
}

func auditExport(r *remote) *cobra.Command {
	return &cobra.Command{
		Use: "export", Short: "Stream the log, to be verified without this hub", Args: exactly(),
		Example: `  lrshub audit export > log.ndjson`,
		RunE: func(c *cobra.Command, _ []string) error {
			response, err := r.send(c.Context(), http.MethodGet, "/audit/export", nil)
			if err != nil {
				return err
			}
			defer response.Body.Close()
			if _, err := io.Copy(os.Stdout, response.Body); err != nil {
				return exitError{exitPartly, "the export broke off: " + err.Error()}
			}
			return nil
		},
	}
}

func auditKey(r *remote) *cobra.Command {
	return &cobra.Command{
		Use: "key", Short: "Print the key that verifies the log's checkpoints", Args: exactly(),
		Example: `  lrshub audit key > tenant.vkey`,
		RunE: func(c *cobra.Command, _ []string) error {
			var key struct {
				Key string `json:"key"`
			}
			if err := r.call(c.Context(), http.MethodGet, "/audit/key", nil, &key); err != nil {
				return err
			}
			if r.output == "json" || r.output == "jsonl" {
				return printJSON(os.Stdout, key)
			}
			_, err := fmt.Println(key.Key)
			return err
		},
	}
}

func auditRestart(r *remote) *cobra.Command {
	var yes bool
	c := &cobra.Command{
		Use:   "restart --yes",
		Short: "Let the log go on after the database was restored from an older backup",
		Long: `Let the log go on after the database was restored from a backup that is older than the anchor. The events in between are lost; the anchor keeps
saying that they were there, and every later verification tells of the restart. Do it once on each hub that has an anchor of its own.`,
		Example: `  lrshub audit restart --yes`,
		Args:    exactly(),
		RunE: func(c *cobra.Command, _ []string) error {
			if !yes {
				return usage("this accepts for good that events are lost: say --yes")
			}
			var at struct {
				Size int64 `json:"size"`
			}
			if err := r.call(c.Context(), http.MethodPost, "/audit/restart", nil, &at); err != nil {
				return err
			}
			r.say("the log goes on after event %d", at.Size)
			return nil
		},
	}
	c.Flags().BoolVar(&yes, "yes", false, "accept the loss")
	return c
}
