package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/lrshub/lrshub/hub/entry"
)

// remote is the hub that a command talks to.
type remote struct {
	url    string
	token  string
	data   string
	output string
	quiet  bool
}

// use makes a group command whose children talk to a hub.
func use(name, short string, r *remote, children ...*cobra.Command) *cobra.Command {
	c := &cobra.Command{Use: name, Short: short, GroupID: "use", Args: onlyCommands, RunE: needsChild}
	c.AddCommand(children...)
	return c
}

func needsChild(c *cobra.Command, _ []string) error {
	_ = c.Help()
	return usage("%s needs one of the commands above", c.CommandPath())
}

// onlyCommands refuses a word that is no command of the group.
func onlyCommands(c *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	c.SuggestionsMinimumDistance = 2
	text := fmt.Sprintf("%s has no command %q", c.CommandPath(), args[0])
	if like := c.SuggestionsFor(args[0]); len(like) > 0 {
		text += "; did you mean " + strings.Join(like, ", ") + "?"
	}
	return usage("%s\nSee: %s --help", text, c.CommandPath())
}

// addUses adds every command that uses a hub.
func addUses(root *cobra.Command) {
	r := &remote{}
	// What is wrong with a command line is found out before anything is done: a secret that was made and cannot be shown would be lost.
	root.PersistentPreRunE = func(c *cobra.Command, _ []string) error {
		if err := c.ValidateRequiredFlags(); err != nil {
			return usage("%v\nSee: %s --help", err, c.CommandPath())
		}
		if !slices.Contains(outputs, r.output) {
			return errOutput
		}
		return nil
	}
	flags := root.PersistentFlags()
	flags.StringVar(&r.url, "url", os.Getenv("LRSHUB_URL"), "hub to talk to (environment LRSHUB_URL; default: the one that runs on --data)")
	flags.StringVar(&r.token, "token", "", "credential: lrshub_KEY_SECRET or KEY:SECRET (environment LRSHUB_TOKEN; default: the local administrator's)")
	flags.StringVarP(&r.output, "output", "o", "table", "table, json, jsonl or csv")
	flags.BoolVarP(&r.quiet, "quiet", "q", false, "print results only")
	for _, c := range []*cobra.Command{
		clientCommand(r), purposeCommand(r), tenantCommand(r), connectorCommand(r), connectionCommand(r), syncCommand(r), mappingCommand(r),
		deadLetterCommand(r), recordCommand(r), personCommand(r), statementCommand(r), auditCommand(r),
	} {
		c.GroupID = "use"
		if c.PersistentFlags().Lookup("data") == nil {
			c.PersistentFlags().StringVar(&r.data, "data", "data", "data folder of a local hub, to find its address and token")
		}
		root.AddCommand(c)
	}
}

// locate fills in what the flags left out from the data folder of a local hub.
func (r *remote) locate() error {
	if r.token == "" {
		r.token = os.Getenv("LRSHUB_TOKEN")
	}
	if r.url == "" {
		text, err := os.ReadFile(filepath.Join(r.data, localHubFile))
		if errors.Is(err, fs.ErrNotExist) {
			return usage("no hub runs on %s: start one (lrshub up --data %s), or name one with --url and --token", r.data, r.data)
		}
		if err != nil {
			return fmt.Errorf("find the local hub: %w", err)
		}
		var l localHub
		if err := json.Unmarshal(text, &l); err != nil {
			return fmt.Errorf("find the local hub: %s: %w", localHubFile, err)
		}
		r.url = l.URL
		if r.token == "" {
			token, err := os.ReadFile(l.Token)
			if err != nil {
				return fmt.Errorf("find the local administrator's token: %w", err)
			}
			r.token = strings.TrimSpace(string(token))
		}
	}
	if r.token == "" {
		return usage("no credential: give --token or set LRSHUB_TOKEN")
	}
	return nil
}

// apiTimeout bounds a request whose answer is not a stream.
const apiTimeout = 5 * time.Minute

// call sends a request to the management API and decodes the answer into out, if out is not nil.
func (r *remote) call(ctx context.Context, method, path string, in, out any) error {
	ctx, cancel := context.WithTimeout(ctx, apiTimeout)
	defer cancel()
	response, err := r.send(ctx, method, path, in)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if out == nil {
		return nil
	}
	if err := json.NewDecoder(response.Body).Decode(out); err != nil {
		return fmt.Errorf("read the hub's answer: %w", err)
	}
	return nil
}

// send sends a request and gives the answer if it is a success; the caller closes it.
func (r *remote) send(ctx context.Context, method, path string, in any) (*http.Response, error) {
	if err := r.locate(); err != nil {
		return nil, err
	}
	var content io.Reader
	if in != nil {
		text, err := json.Marshal(in)
		if err != nil {
			return nil, err
		}
		content = bytes.NewReader(text)
	}
	request, err := r.request(ctx, method, "/api/v1"+path, content)
	if err != nil {
		return nil, err
	}
	if in != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	response, err := r.do(request)
	if err != nil {
		return nil, err
	}
	if response.StatusCode >= 300 {
		defer response.Body.Close()
		return nil, problemError(response)
	}
	return response, nil
}

// request makes a request to a path of the hub, with the credential.
func (r *remote) request(ctx context.Context, method, path string, body io.Reader) (*http.Request, error) {
	request, err := http.NewRequestWithContext(ctx, method, strings.TrimSuffix(r.url, "/")+path, body)
	if err != nil {
		return nil, usage("--url: %v", err)
	}
	if key, secret, ok := strings.Cut(r.token, ":"); ok {
		request.SetBasicAuth(key, secret)
	} else {
		request.Header.Set("Authorization", "Bearer "+r.token)
	}
	return request, nil
}

// do sends a request.
func (r *remote) do(request *http.Request) (*http.Response, error) {
	response, err := http.DefaultClient.Do(request)
	var unreachable *url.Error
	if errors.As(err, &unreachable) {
		return nil, fmt.Errorf("no answer from the hub at %s: %w; is it running?", r.url, unreachable.Err)
	}
	return response, err
}

// exitCodes are the exit codes of the API's statuses; any other failure is exitFailed.
var exitCodes = map[int]int{
	http.StatusBadRequest: exitUsage, http.StatusUnprocessableEntity: exitUsage, http.StatusNotFound: exitNotFound,
	http.StatusUnauthorized: exitDenied, http.StatusForbidden: exitDenied, http.StatusConflict: exitConflict,
}

func problemError(response *http.Response) error {
	code, ok := exitCodes[response.StatusCode]
	if !ok {
		code = exitFailed
	}
	var p struct {
		Title, Detail string
		Mistakes      []entry.Mistake
	}
	text, err := io.ReadAll(io.LimitReader(response.Body, 1<<20))
	if err != nil || json.Unmarshal(text, &p) != nil || p.Title+p.Detail == "" {
		return exitError{code, "the hub answered " + response.Status}
	}
	if p.Detail == "" {
		p.Detail = p.Title
	}
	for _, each := range p.Mistakes {
		p.Detail += "\n  " + each.Position + ": " + each.Reason
	}
	if response.StatusCode == http.StatusServiceUnavailable {
		return errors.New(p.Detail) // it may be over soon: see await
	}
	return exitError{code, p.Detail}
}

// say prints news for people, never mixed with results.
func (r *remote) say(format string, args ...any) {
	if !r.quiet {
		fmt.Fprintf(os.Stderr, format+"\n", args...)
	}
}

// listOf is a list as the API gives it.
type listOf[T any] struct {
	Items []T `json:"items"`
}
