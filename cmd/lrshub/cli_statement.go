package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"time"

	"github.com/schollz/progressbar/v3"
	"github.com/spf13/cobra"
)

func statementCommand(r *remote) *cobra.Command {
	return use("statement", "Stored statements", r, statementGet(r), statementExport(r), statementImport(r), statementQuery(r), statementFollow(r))
}

func statementGet(r *remote) *cobra.Command {
	var voided bool
	c := &cobra.Command{
		Use: "get ID", Short: "Print one statement, as the credential may see it", Args: exactly("ID"),
		Example: `  lrshub statement get c89bd04f-03bc-569c-9541-b3e0f9f21cbb`,
		RunE: func(c *cobra.Command, args []string) error {
			path := "/statements/" + url.PathEscape(args[0])
			if voided {
				path += "?voided=true"
			}
			var statement json.RawMessage
			if err := r.call(c.Context(), http.MethodGet, path, nil, &statement); err != nil {
				return err
			}
			return printJSON(os.Stdout, statement)
		},
	}
	c.Flags().BoolVar(&voided, "voided", false, "one that was voided")
	return c
}

func statementExport(r *remote) *cobra.Command {
	var verb, activity, since, until, file, folder string
	var limit int
	var voidings bool
	c := &cobra.Command{
		Use:   "export",
		Short: "Stream statements as NDJSON, oldest first",
		Long: `Stream statements as NDJSON, oldest first, in the form that the credential may see. Voided statements are left out, and so are
those that void them: what is exported is what now holds.

With --archive everything that the credential may see goes into a folder that lrshub statement import takes over into another hub: statements as they were stored,
voided ones and those that void them too, with stored and authority, attachments, state and profile documents, counts and digests. An export that broke off goes on
when it is run again.`,
		Example: `  lrshub statement export > statements.ndjson
  lrshub statement export --archive ./everything
  lrshub statement export --verb http://adlnet.gov/expapi/verbs/passed --token "$TOKEN" | wc -l`,
		Args: exactly(),
		RunE: func(c *cobra.Command, _ []string) error {
			if folder != "" {
				if verb+activity+since+until+file != "" || limit != 0 || voidings {
					return usage("--archive takes everything: leave the other flags out")
				}
				return exportArchive(c.Context(), r, folder)
			}
			query := url.Values{}
			for name, value := range map[string]string{"verb": verb, "activity": activity, "since": since, "until": until} {
				if value != "" {
					query.Set(name, value)
				}
			}
			if r.output == "csv" {
				return usage("statements are exported as NDJSON; there is no CSV form of them")
			}
			if limit < 0 {
				return usage("--limit is a number of statements, not %d", limit)
			}
			if limit > 0 {
				query.Set("limit", strconv.Itoa(limit))
			}
			if voidings {
				query.Set("with-voidings", "true")
			}
			response, err := r.send(c.Context(), http.MethodGet, "/statements/export?"+query.Encode(), nil)
			if err != nil {
				return err
			}
			defer response.Body.Close()
			var out io.Writer = os.Stdout
			if file != "" {
				f, err := os.OpenFile(file, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
				if err != nil {
					return err
				}
				defer f.Close()
				out = f
			}
			return copyExport(r, out, response)
		},
	}
	c.Flags().StringVar(&verb, "verb", "", "only with this verb (IRI)")
	c.Flags().StringVar(&activity, "activity", "", "only with this object (IRI)")
	c.Flags().StringVar(&since, "since", "", "only stored after (RFC 3339)")
	c.Flags().StringVar(&until, "until", "", "only stored at or before (RFC 3339)")
	c.Flags().IntVar(&limit, "limit", 0, "at most so many (default: all)")
	c.Flags().BoolVar(&voidings, "with-voidings", false, "voiding statements too")
	c.Flags().StringVar(&folder, "archive", "", "everything, with attachments and documents, into this folder")
	c.Flags().StringVar(&file, "file", "", "write to this file (default: standard output)")
	return c
}

// copyExport copies an export and holds its lines against the count that the hub gives at the end.
func copyExport(r *remote, out io.Writer, response *http.Response) error {
	w := bufio.NewWriterSize(out, 256<<10)
	bar := progress(r, -1, "statements")
	lines := bufio.NewReaderSize(response.Body, 256<<10)
	var count int64
	for {
		chunk, err := lines.ReadSlice('\n')
		if _, werr := w.Write(chunk); werr != nil {
			return werr
		}
		if err == nil {
			if count++; count%1000 == 0 {
				_ = bar.Set64(count)
			}
			continue
		}
		if errors.Is(err, io.EOF) {
			break
		}
		if !errors.Is(err, bufio.ErrBufferFull) {
			return exitError{exitPartly, fmt.Sprintf("the export broke off after %d statements: %v", count, err)}
		}
	}
	_ = bar.Finish()
	if err := w.Flush(); err != nil {
		return err
	}
	if told := response.Trailer.Get("Lrshub-Statements"); told != strconv.FormatInt(count, 10) {
		return exitError{exitPartly, fmt.Sprintf("%d statements came, the hub counted %q: the export is not whole", count, told)}
	}
	r.say("%d statements", count)
	return nil
}

// progress is a bar on a terminal and nothing elsewhere. total -1: unknown.
func progress(r *remote, total int64, what string) *progressbar.ProgressBar {
	info, err := os.Stderr.Stat()
	terminal := err == nil && info.Mode()&os.ModeCharDevice != 0 && !r.quiet
	return progressbar.NewOptions64(total, progressbar.OptionSetWriter(os.Stderr), progressbar.OptionSetVisibility(terminal),
		progressbar.OptionSetDescription(what), progressbar.OptionShowCount(), progressbar.OptionClearOnFinish(), progressbar.OptionThrottle(100*time.Millisecond))
}
