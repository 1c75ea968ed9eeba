package connection

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/lrshub/lrshub/hub/database"
	"github.com/lrshub/lrshub/hub/database/databasetest"
	"github.com/lrshub/lrshub/hub/people"
	"github.com/lrshub/lrshub/hub/vault"
)

var now = time.Date(2026, 11, 24, 7, 0, 0, 0, time.UTC)

// world is a database with two tenants and their keys.
type world struct {
	*testing.T
	db    *database.DB
	vault *vault.Vault
}

func newWorld(t *testing.T) *world {
	t.Helper()
	master, err := vault.MasterKey(make([]byte, 32))
	if err != nil {
		t.Fatal(err)
	}
	keys, err := vault.OpenKeys(t.TempDir(), master)
	if err != nil {
		t.Fatal(err)
	}
	w := &world{T: t, db: databasetest.New(t), vault: vault.New(keys)}
	for _, tenant := range []database.TenantID{databasetest.Default, databasetest.Other} {
		if _, err := keys.Ensure(tenant); err != nil {
			t.Fatal(err)
		}
		w.do(tenant, func(ctx context.Context, tx *database.Tx) error { return people.SeedDefault(ctx, tx, now) })
	}
	return w
}

// try runs fn in a transaction of a tenant.
func (w *world) try(tenant database.TenantID, fn func(context.Context, *database.Tx) error) error {
	return w.db.Tenant(w.Context(), tenant, fn)
}

func (w *world) do(tenant database.TenantID, fn func(context.Context, *database.Tx) error) {
	w.Helper()
	if err := w.try(tenant, fn); err != nil {
		w.Fatal(err)
	}
}

func (w *world) keys(tenant database.TenantID) *vault.Tenant {
	w.Helper()
	t, err := w.vault.Tenant(tenant)
	if err != nil {
		w.Fatal(err)
	}
	return t
}

func (w *world) count(tenant database.TenantID, query string, args ...any) (n int) {
	w.Helper()
	w.do(tenant, func(ctx context.Context, tx *database.Tx) error { return tx.GetContext(ctx, &n, query, args...) })
	return n
}

var act = Act{Actor: "client-1", Purpose: people.DefaultPurpose, Now: now}

const publicConfig = `{"folder":"/data/one"}`

func checked() Checked {
	return Checked{
		spec: Spec{Connector: "csv", Purpose: people.DefaultPurpose, Mapping: "mapping: one\n", Params: json.RawMessage(`{"home":"https://lms"}`),
			Lines: map[string]int{"purpose": 3}},
		schedule: 15 * time.Minute,
		public:   json.RawMessage(publicConfig),
		secrets:  map[string]string{"token": "s3cret-t0ken"},
		streams:  []MappedStream{{Name: "results", Fields: []string{"score"}}},
	}
}

func (w *world) add(tenant database.TenantID, name string) (c Connection) {
	w.Helper()
	w.do(tenant, func(ctx context.Context, tx *database.Tx) (err error) {
		c, err = Add(ctx, tx, w.keys(tenant), act, name, checked())
		return err
	})
	return c
}

func TestConnectionLives(t *testing.T) {
	w := newWorld(t)
	one := w.add(databasetest.Default, "results")
	w.add(databasetest.Other, "results") // a name belongs to its tenant

	w.do(databasetest.Default, func(ctx context.Context, tx *database.Tx) error {
		for _, by := range []string{"results", one.ID.String()} {
			c, err := Get(ctx, tx, by)
			if err != nil {
				return err
			}
			if c.ID != one.ID || c.Schedule != 15*time.Minute || c.State != Active || c.Mapping != 1 || !c.CreatedAt.Equal(now) {
				t.Errorf("Get(%s) = %+v", by, c)
			}
			settings, err := c.Settings(w.keys(databasetest.Default))
			if err != nil || string(settings.Config) != publicConfig || settings.Secrets["token"] != "s3cret-t0ken" || string(settings.Params) != `{"home":"https://lms"}` {
				t.Errorf("Settings = %s, %v", settings, err)
			}
			if _, err := c.Settings(w.keys(databasetest.Other)); !errors.Is(err, vault.ErrSealed) {
				t.Errorf("another tenant's key opens the configuration: %v", err)
			}
		}
		return nil
	})
	var sealed []byte
	w.do(databasetest.Default, func(ctx context.Context, tx *database.Tx) error {
		return tx.GetContext(ctx, &sealed, "SELECT config FROM connection")
	})
	if strings.Contains(string(sealed), "s3cret") || strings.Contains(string(sealed), "/data") {
		t.Error("the configuration stands in clear")
	}
	for _, step := range []struct {
		do   func(context.Context, *database.Tx, Act, uuid.UUID) (Connection, error)
		want State
	}{{Pause, Paused}, {Pause, Paused}, {Resume, Active}, {Resume, Active}} {
		w.do(databasetest.Default, func(ctx context.Context, tx *database.Tx) error {
			c, err := step.do(ctx, tx, act, one.ID)
			if err == nil && c.State != step.want {
				t.Errorf("state is %s, want %s", c.State, step.want)
			}
			return err
		})
	}
	for kind, want := range map[string]int{"connection.added": 1, "connection.paused": 1, "connection.resumed": 1} {
		if n := w.count(databasetest.Default, "SELECT count(*) FROM audit_event WHERE kind = $1", kind); n != want {
			t.Errorf("%d events %s, want %d", n, kind, want)
		}
	}
}

func TestAddRefuses(t *testing.T) {
	w := newWorld(t)
	w.add(databasetest.Default, "taken")
	unknown := checked()
	unknown.spec.Purpose = "marketing"
	for _, c := range []struct {
		name string
		spec Checked
		want error
		says string
	}{
		{"taken", checked(), ErrExists, "taken"},
		{"Not A Name", checked(), ErrName, "lower-case"},
		{"fine", unknown, people.ErrUnknownPurpose, "line 3, purpose"},
	} {
		err := w.try(databasetest.Default, func(ctx context.Context, tx *database.Tx) error {
			_, err := Add(ctx, tx, w.keys(databasetest.Default), act, c.name, c.spec)
			return err
		})
		if !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("Add(%q) = %v, want %v with %q", c.name, err, c.want, c.says)
		}
	}
	err := w.try(databasetest.Other, func(ctx context.Context, tx *database.Tx) error {
		_, err := Get(ctx, tx, "taken")
		return err
	})
	if !errors.Is(err, ErrUnknown) || !strings.Contains(err.Error(), "none yet") {
		t.Errorf("Get in the other tenant = %v", err)
	}
	err = w.try(databasetest.Default, func(ctx context.Context, tx *database.Tx) error {
		_, err := Get(ctx, tx, "takn")
		return err
	})
	if !errors.Is(err, ErrUnknown) || !strings.Contains(err.Error(), "there are taken") {
		t.Errorf("Get of a misspelt name = %v", err)
	}
}

func TestApplyMapping(t *testing.T) {
	w := newWorld(t)
	c := w.add(databasetest.Default, "results")
	next := checked()
	next.spec.Mapping, next.streams = "mapping: two\n", []MappedStream{
		{Name: "course", Fields: []string{"title"}}, {Name: "results", Fields: []string{"score", "date"}, Lookups: []string{"course"}}}
	for _, round := range []struct{ stream, field string }{{"results", "date"}, {"", ""}} {
		w.do(databasetest.Default, func(ctx context.Context, tx *database.Tx) error {
			version, unread, err := ApplyMapping(ctx, tx, act, c.ID, next)
			if err != nil {
				return err
			}
			if version != 2 {
				t.Errorf("version %d, want 2", version)
			}
			if round.stream == "" && len(unread) != 0 {
				t.Errorf("the same document again says %v is new", unread)
			}
			if round.stream != "" && (len(unread) != 2 || len(unread["results"]) != 1 || unread["results"][0] != "date" || len(unread["course"]) != 1) {
				t.Errorf("new fields: %v", unread)
			}
			return nil
		})
	}
	w.do(databasetest.Default, func(ctx context.Context, tx *database.Tx) error {
		force, err := GetMapping(ctx, tx, c.ID, 0)
		if err != nil || force.Version != 2 || force.Document != "mapping: two\n" || force.Streams[1].Lookups[0] != "course" {
			t.Errorf("in force: %+v, %v", force, err)
		}
		old, err := GetMapping(ctx, tx, c.ID, 1)
		if err != nil || old.Document != "mapping: one\n" || len(old.Streams) != 1 {
			t.Errorf("version 1: %+v, %v", old, err)
		}
		if _, err := GetMapping(ctx, tx, c.ID, 3); !errors.Is(err, ErrUnknownMapping) {
			t.Errorf("version 3: %v", err)
		}
		return nil
	})
	if n := w.count(databasetest.Default, "SELECT count(*) FROM audit_event WHERE kind = 'mapping.applied'"); n != 1 {
		t.Errorf("%d events, want 1", n)
	}
}

func TestRemove(t *testing.T) {
	w := newWorld(t)
	c := w.add(databasetest.Default, "results")
	kept := w.add(databasetest.Default, "kept")
	run := w.begin(c, now)
	w.letters(c, run, []byte("k1"))
	w.letters(kept, run, []byte("k1"))
	w.reading(c, run, snapshot, false)
	w.do(databasetest.Default, func(ctx context.Context, tx *database.Tx) error { return Remove(ctx, tx, act, c.ID) })
	for _, table := range []string{"connection_lease", "connection_cursor", "source_record", "dead_letter", "connection_stream"} {
		if n := w.count(databasetest.Default, "SELECT count(*) FROM "+table+" WHERE connection_id = $1", c.ID); n != 0 {
			t.Errorf("%d rows of %s left", n, table)
		}
	}
	if n := w.count(databasetest.Default, "SELECT count(*) FROM dead_letter WHERE connection_id = $1", kept.ID); n != 1 {
		t.Errorf("the other connection has %d letters, want 1", n)
	}
	if n := w.count(databasetest.Default, "SELECT length(config) FROM connection WHERE id = $1", c.ID); n != 0 {
		t.Error("the configuration is still there")
	}
	w.do(databasetest.Default, func(ctx context.Context, tx *database.Tx) error {
		r, err := GetRun(ctx, tx, run)
		if err != nil || r.State != Cancelled || r.Class != "removed" {
			t.Errorf("run: %+v, %v", r, err)
		}
		return nil
	})
	err := w.try(databasetest.Default, func(ctx context.Context, tx *database.Tx) error {
		return HoldLease(ctx, tx, c.ID, run, now.Add(time.Hour))
	})
	if !errors.Is(err, ErrLeaseLost) {
		t.Errorf("a page after the removal: %v", err)
	}
	if again := w.add(databasetest.Default, "results"); again.ID == c.ID {
		t.Error("a new connection took up the removed one's identity")
	}
}
