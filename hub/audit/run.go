package audit

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/lrshub/lrshub/hub/database"
)

// reportEvery is how often a lasting error of a tenant is logged again.
const reportEvery = time.Minute

// Run sequences all tenants until ctx ends, and then returns nil. It polls: at once again while there is much to do, else
// after the interval. A tenant in trouble does not hold up the others: its error is logged and shows in Health.
func (s *Sequencer) Run(ctx context.Context) error {
	for ctx.Err() == nil {
		if s.round(ctx) {
			continue
		}
		select {
		case <-ctx.Done():
		case <-time.After(s.interval):
		}
	}
	return nil
}

// round takes one step for each tenant and says whether any has more to do.
func (s *Sequencer) round(ctx context.Context) (more bool) {
	tenants, err := s.db.Tenants(ctx)
	if err != nil {
		s.report(ctx, 0, fmt.Errorf("sequence the audit log: %w", err))
		return false
	}
	s.report(ctx, 0, nil)
	s.forget(tenants)
	for _, t := range tenants {
		n, err := s.Step(ctx, t.ID)
		if err == nil && s.due(t.ID) {
			if _, err = s.signer.Publish(t.ID); err == nil {
				_, err = s.Checkpoint(ctx, t.ID)
			}
		}
		s.report(ctx, t.ID, err)
		more = more || n == batch
	}
	return more
}

// forget drops what is kept of tenants that were removed.
func (s *Sequencer) forget(tenants []database.Tenant) {
	s.mu.Lock()
	defer s.mu.Unlock()
	maps.DeleteFunc(s.tenants, func(id database.TenantID, _ *progress) bool {
		return id != 0 && !slices.ContainsFunc(tenants, func(t database.Tenant) bool { return t.ID == id })
	})
}

// due says whether the tenant's tree wants a checkpoint now.
func (s *Sequencer) due(tenant database.TenantID) bool {
	due := false
	s.remember(tenant, func(p *progress) {
		since := s.now().Sub(p.signed)
		due = p.uncovered && (since >= s.every || since < 0) // a clock that went back must not silence the log
	})
	return due
}

// report keeps the tenant's error (tenant 0: of all) and logs it when it is new, and now and then while it lasts.
func (s *Sequencer) report(ctx context.Context, tenant database.TenantID, err error) {
	if ctx.Err() != nil {
		return
	}
	s.remember(tenant, func(p *progress) {
		now := s.now()
		fresh := err != nil && (p.err == nil || p.err.Error() != err.Error() || now.Sub(p.reported) >= reportEvery)
		ended := err == nil && p.err != nil
		p.err = err
		switch {
		case fresh:
			p.reported = now
			s.log.ErrorContext(ctx, "audit log is not being sequenced", "tenant", int(tenant), "error", err)
		case ended:
			s.log.InfoContext(ctx, "audit log is being sequenced again", "tenant", int(tenant))
		}
	})
}

// Health is nil when the last step of every tenant went well, else their errors.
func (s *Sequencer) Health() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	var errs []error
	for _, p := range s.tenants {
		errs = append(errs, p.err)
	}
	return errors.Join(errs...)
}
