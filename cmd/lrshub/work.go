package main

import (
	"context"
	"crypto/rand"
	"fmt"

	"github.com/lrshub/lrshub/hub/audit"
)

// auditKeeper opens the audit log's signer and anchor.
func (r *rooms) auditKeeper() (*audit.Signer, *audit.Anchor, error) {
	signer, err := audit.OpenSigner(r.settings.AuditDir, rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	anchor, err := audit.OpenAnchor(r.settings.AuditDir)
	if err != nil {
		return nil, nil, fmt.Errorf("audit anchor: %w", err)
	}
	return signer, anchor, nil
}

// sequence puts audit events into the log's tree until ctx ends.
func (p *process) sequence(ctx context.Context) error {
	signer, anchor, err := p.auditKeeper()
	if err != nil {
		return err
	}
	return audit.NewSequencer(audit.SequencerOptions{DB: p.db, Signer: signer, Anchor: anchor}).Run(ctx)
}

func (p *process) work(ctx context.Context) (end func(), err error) {
	return func() {}, nil
}
