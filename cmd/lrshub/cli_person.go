package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/spf13/cobra"
)

// somebody is a person as the API shows it.
type somebody struct {
	Person   uuid.UUID      `json:"person"`
	Subjects []subjectShown `json:"subjects"`
	Facts    []factShown    `json:"facts"`
	Links    []linkShown    `json:"links"`
}

type subjectShown struct {
	Subject    uuid.UUID       `json:"subject"`
	Identifier json.RawMessage `json:"identifier,omitempty"`
}

type factShown struct {
	Subject       uuid.UUID  `json:"subject"`
	Kind          string     `json:"kind"`
	Value         string     `json:"value,omitempty"`
	Manager       uuid.UUID  `json:"manager,omitzero"`
	From          *time.Time `json:"from,omitempty"`
	Until         *time.Time `json:"until,omitempty"`
	RecordedFrom  time.Time  `json:"recorded_from"`
	RecordedUntil *time.Time `json:"recorded_until,omitempty"`
	Connection    uuid.UUID  `json:"connection"`
}

type linkShown struct {
	Low     uuid.UUID   `json:"low"`
	High    uuid.UUID   `json:"high"`
	Kind    string      `json:"kind"`
	At      time.Time   `json:"linked_at"`
	EndedAt *time.Time  `json:"ended_at,omitempty"`
	Sources []uuid.UUID `json:"sources,omitempty"`
}

// toDecide is a review as the API lists it.
type toDecide struct {
	ID       uuid.UUID      `json:"id"`
	Kind     string         `json:"kind"`
	Issue    string         `json:"issue"`
	State    string         `json:"state"`
	OpenedAt time.Time      `json:"opened_at"`
	Subjects []subjectShown `json:"subjects"`
}

func personCommand(r *remote) *cobra.Command {
	return use("person", "Who is who: one person, many accounts", r, personShow(r), personDecision(r, "link", "Say that subjects are one person",
		`  lrshub person link 4b1f0c1e-6a53-4c0e-9d0b-2f5a3c1d7e88 91d2a6f0-0c1b-4e57-8a44-7b9e1f2d3c55`),
		personDecision(r, "split", "Say that subjects are not one person with the rest of theirs; evidence does not link them again",
			`  lrshub person split 91d2a6f0-0c1b-4e57-8a44-7b9e1f2d3c55`), personReview(r), personRules(r))
}

func personShow(r *remote) *cobra.Command {
	var agent, asOf, knownAt string
	var all bool
	c := &cobra.Command{
		Use: "show SUBJECT | show --agent JSON", Short: "Show who somebody is: identifiers, facts, and why these are one person",
		Example: `  lrshub person show 4b1f0c1e-6a53-4c0e-9d0b-2f5a3c1d7e88 --as-of 2026-01-31
  lrshub person show --agent mailto:ann@example.org -o json`,
		Args: atMostOne,
		RunE: func(c *cobra.Command, args []string) error {
			request := map[string]any{"all": all}
			if (len(args) == 1) == (agent != "") {
				return usage("name a subject, or give --agent\nSee: %s --help", c.CommandPath())
			}
			if len(args) == 1 {
				request["subject"] = args[0]
			} else if whom, err := parseAgent(agent); err != nil {
				return err
			} else {
				request["agent"] = whom
			}
			for name, text := range map[string]string{"asOf": asOf, "knownAt": knownAt} {
				if text == "" {
					continue
				}
				at, err := dayOrTime(text)
				if err != nil {
					return err
				}
				request[name] = at
			}
			var shown somebody
			if err := r.call(c.Context(), http.MethodPost, "/persons/find", request, &shown); err != nil {
				return err
			}
			return showSomebody(r, shown)
		},
	}
	c.Flags().StringVar(&agent, "agent", "", "instead of a subject id: JSON, or mailto: and an address")
	c.Flags().StringVar(&asOf, "as-of", "", "facts that held then (2026-01-31, or RFC 3339); default: now")
	c.Flags().StringVar(&knownAt, "known-at", "", "as they were known then; default: now")
	c.Flags().BoolVar(&all, "all", false, "all facts that were ever believed")
	return c
}

func atMostOne(c *cobra.Command, args []string) error {
	if len(args) <= 1 {
		return nil
	}
	return usage("usage: %s\nSee: %s --help", c.UseLine(), c.CommandPath())
}

func atLeastOne(c *cobra.Command, args []string) error {
	if len(args) > 0 {
		return nil
	}
	return usage("usage: %s\nSee: %s --help", c.UseLine(), c.CommandPath())
}

// dayOrTime reads a day, which begins at midnight UTC, or an instant.
func dayOrTime(text string) (time.Time, error) {
	for _, layout := range []string{time.DateOnly, time.RFC3339Nano} {
		if at, err := time.Parse(layout, text); err == nil {
			return at, nil
		}
	}
	return time.Time{}, usage("%q is no time: write 2026-01-31 or 2026-01-31T08:00:00Z", text)
}

// showSomebody prints a person; as a table it has three.
func showSomebody(r *remote, shown somebody) error {
	if r.output != "table" {
		return showOne(r, shown, column[somebody]{"person", func(s somebody) string { return s.Person.String() }},
			column[somebody]{"subjects", func(s somebody) string { return fmt.Sprint(len(s.Subjects)) }},
			column[somebody]{"facts", func(s somebody) string { return fmt.Sprint(len(s.Facts)) }})
	}
	err := show(r, shown.Subjects, column[subjectShown]{"subject", func(s subjectShown) string { return s.Subject.String() }},
		column[subjectShown]{"identifier", func(s subjectShown) string { return string(s.Identifier) }})
	if err != nil {
		return err
	}
	fmt.Fprintln(os.Stdout)
	err = show(r, shown.Facts, column[factShown]{"fact", func(f factShown) string { return f.Kind }},
		column[factShown]{"value", func(f factShown) string {
			if f.Manager != uuid.Nil {
				return f.Manager.String()
			}
			return f.Value
		}},
		column[factShown]{"from", func(f factShown) string { return when(f.From) }},
		column[factShown]{"until", func(f factShown) string { return when(f.Until) }},
		column[factShown]{"known from", func(f factShown) string { return when(&f.RecordedFrom) }},
		column[factShown]{"known until", func(f factShown) string { return when(f.RecordedUntil) }})
	if err != nil {
		return err
	}
	fmt.Fprintln(os.Stdout)
	return show(r, shown.Links, column[linkShown]{"link", func(l linkShown) string { return l.Low.String() }},
		column[linkShown]{"with", func(l linkShown) string { return l.High.String() }},
		column[linkShown]{"because of", func(l linkShown) string { return l.Kind }},
		column[linkShown]{"since", func(l linkShown) string { return when(&l.At) }},
		column[linkShown]{"until", func(l linkShown) string { return when(l.EndedAt) }})
}

func personDecision(r *remote, name, short, example string) *cobra.Command {
	return &cobra.Command{
		Use: name + " SUBJECT...", Short: short, Example: example, Args: atLeastOne,
		RunE: func(c *cobra.Command, args []string) error {
			return r.call(c.Context(), http.MethodPost, "/persons/"+name, map[string]any{"subjects": args}, nil)
		},
	}
}

func personReview(r *remote) *cobra.Command {
	var same, different bool
	var state string
	c := &cobra.Command{
		Use: "review [ID --same | ID --different]", Short: "List claims that reach more than one person, or decide one of them",
		Example: `  lrshub person review
  lrshub person review 7d9f2b60-51c8-4a0e-b3f1-0c2e8a6d4f17 --different`,
		Args: atMostOne,
		RunE: func(c *cobra.Command, args []string) error {
			if len(args) == 1 {
				if same == different {
					return usage("say --same or --different\nSee: %s --help", c.CommandPath())
				}
				decision := "different"
				if same {
					decision = "same"
				}
				return r.call(c.Context(), http.MethodPost, "/persons/reviews/"+url.PathEscape(args[0]), map[string]any{"decision": decision}, nil)
			}
			var all listOf[toDecide]
			if err := r.call(c.Context(), http.MethodGet, "/persons/reviews?state="+url.QueryEscape(state), nil, &all); err != nil {
				return err
			}
			return show(r, all.Items, column[toDecide]{"review", func(d toDecide) string { return d.ID.String() }},
				column[toDecide]{"since", func(d toDecide) string { return when(&d.OpenedAt) }},
				column[toDecide]{"claim", func(d toDecide) string { return d.Kind }},
				column[toDecide]{"issue", func(d toDecide) string { return d.Issue }},
				column[toDecide]{"subjects", func(d toDecide) string {
					var list []string
					for _, s := range d.Subjects {
						list = append(list, s.Subject.String()+" "+string(s.Identifier))
					}
					return strings.Join(list, ", ")
				}})
		},
	}
	c.Flags().BoolVar(&same, "same", false, "those who have the claim are one person")
	c.Flags().BoolVar(&different, "different", false, "the claim is no evidence, and never links anybody again")
	c.Flags().StringVar(&state, "state", "open", "open, same, different or settled")
	return c
}

func personRules(r *remote) *cobra.Command {
	var on []string
	var nothing bool
	c := &cobra.Command{
		Use: "rule CONNECTION [--on KIND]...", Short: "Show, or set, on which kinds of claim a connection's records may link people", Args: exactly("CONNECTION"),
		Example: `  lrshub person rule staff --on employee_number --on mailbox`,
		RunE: func(c *cobra.Command, args []string) error {
			path := connectionPath(args[0]) + "/links"
			if len(on) > 0 || nothing {
				if len(on) > 0 && nothing {
					return usage("--on and --nothing contradict each other")
				}
				if err := r.call(c.Context(), http.MethodPut, path, map[string]any{"on": append([]string{}, on...)}, nil); err != nil {
					return err
				}
				r.say("What its records claimed links accordingly. Mailboxes that statements name are linked as the records are read again: lrshub sync run %s --full", args[0])
				return nil
			}
			var rules struct {
				On []string `json:"on"`
			}
			if err := r.call(c.Context(), http.MethodGet, path, nil, &rules); err != nil {
				return err
			}
			return show(r, rules.On, column[string]{"links on", func(kind string) string { return kind }})
		},
	}
	c.Flags().StringArrayVar(&on, "on", nil, "employee_number, student_number, sourced_id, external_id or mailbox")
	c.Flags().BoolVar(&nothing, "nothing", false, "link on nothing; what was linked by its records only is taken back")
	return c
}
