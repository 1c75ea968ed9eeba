package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"syscall"
	"time"

	"github.com/lrshub/lrshub/hub/connection"
	"github.com/lrshub/lrshub/hub/database"
)

const (
	lateEvery   = time.Minute      // on average
	alertTime   = 10 * time.Second // for one alert
	alertsTotal = 2 * time.Minute  // for all that are told in one round
)

// watch looks for streams that are late and tells of them, until ctx ends.
func (p *process) watch(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(lateEvery/2 + rand.N(lateEvery)):
		}
		if err := p.tellLate(ctx); err != nil && ctx.Err() == nil {
			slog.Error("looking for late streams failed; it is tried again in a minute", "error", err)
		}
	}
}

// tellLate tells of the streams that are late now, tenant by tenant.
func (r *rooms) tellLate(ctx context.Context) error {
	tenants, err := r.db.Tenants(ctx)
	if err != nil {
		return err
	}
	round, cancel := context.WithTimeout(ctx, alertsTotal)
	defer cancel()
	for _, t := range tenants {
		var list []connection.Late
		err := r.db.Tenant(ctx, t.ID, func(ctx context.Context, tx *database.Tx) (err error) {
			list, err = connection.MarkLate(ctx, tx, time.Now())
			return err
		})
		if err != nil {
			return fmt.Errorf("tenant %s: %w", t.Name, err)
		}
		for _, late := range list {
			if err := r.alert(round, t.ID, late); err != nil {
				slog.Warn("nobody could be told that a stream is late; it is tried again", "connection", late.Connection.Name, "stream", late.Stream, "error", err)
				err = r.db.Tenant(ctx, t.ID, func(ctx context.Context, tx *database.Tx) error { return connection.Untold(ctx, tx, late) })
				if err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// alerted is what is posted.
type alerted struct {
	Alert      string    `json:"alert"` // stream.late
	Text       string    `json:"text"`  // for people; chats show it
	Connection string    `json:"connection"`
	ID         string    `json:"connection_id"`
	Stream     string    `json:"stream"`
	LateSince  time.Time `json:"late_since"`
	Fresh      time.Time `json:"fresh,omitzero"` // when it was last read to its end or pushed
}

// alert tells of one late stream: the log always, and the connection's address if it has one.
func (r *rooms) alert(ctx context.Context, tenant database.TenantID, late connection.Late) error {
	slog.Warn("a stream is late", "tenant", tenant, "connection", late.Connection.Name, "stream", late.Stream, "since", late.Since, "fresh", late.Fresh)
	t, err := r.vault.Tenant(tenant)
	if err != nil {
		return err
	}
	settings, err := late.Connection.Settings(t)
	if err != nil || settings.Alert == "" {
		return err
	}
	text := fmt.Sprintf("%s: the stream %s is late since %s", late.Connection.Name, late.Stream, late.Since.UTC().Format(time.RFC3339))
	return post(ctx, settings.Alert, alerted{"stream.late", text, late.Connection.Name, late.Connection.ID.String(), late.Stream, late.Since, late.Fresh})
}

// post posts JSON. Redirects are not followed, and addresses that only this machine's own network has (link-local, where clouds keep credentials) are not called.
// The error does not quote the address, which may hold a token.
func post(ctx context.Context, address string, body any) error {
	text, err := json.Marshal(body)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, alertTime)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, address, bytes.NewReader(text))
	if err != nil {
		return errors.New("the address for alerts is not one")
	}
	request.Header.Set("Content-Type", "application/json")
	dialer := &net.Dialer{Control: func(_, address string, _ syscall.RawConn) error {
		host, _, err := net.SplitHostPort(address)
		if ip := net.ParseIP(host); err != nil || ip == nil || ip.IsLinkLocalUnicast() || ip.IsMulticast() || ip.IsUnspecified() {
			return errors.New("this address is not called")
		}
		return nil
	}}
	client := &http.Client{
		Transport:     &http.Transport{DialContext: dialer.DialContext, DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	response, err := client.Do(request)
	if err != nil {
		return errors.New("the address for alerts does not answer")
	}
	defer response.Body.Close()
	if response.StatusCode < 200 || response.StatusCode > 299 {
		return fmt.Errorf("the address for alerts answers %d", response.StatusCode)
	}
	return nil
}
