package api

import (
	"context"
	"net/http"

	"github.com/lrshub/lrshub/hub/access"
	"github.com/lrshub/lrshub/hub/database"
	"github.com/lrshub/lrshub/hub/people"
)

func (f *face) purposes() {
	register(f, operation{http.MethodGet, "/purposes", "List the purposes for which records are kept", need{access.Read, access.Connections}, "purposes", 0},
		func(ctx context.Context, caller access.Caller, _ *none) (*body[listOf[people.Purpose]], error) {
			var list []people.Purpose
			err := f.in(ctx, caller, func(ctx context.Context, tx *database.Tx) (err error) {
				list, err = people.Purposes(ctx, tx)
				return err
			})
			return items(list), err
		})
	register(f, operation{http.MethodPost, "/purposes", "Add a purpose with its lawful basis (GDPR Art. 6(1))", need{access.Manage, access.Purposes}, "purposes", 201},
		func(ctx context.Context, caller access.Caller, in *body[people.Purpose]) (*body[people.Purpose], error) {
			var p people.Purpose
			err := f.in(ctx, caller, func(ctx context.Context, tx *database.Tx) (err error) {
				p, err = people.AddPurpose(ctx, tx, f.Now(), caller.Client.String(), in.Body)
				return err
			})
			return &body[people.Purpose]{p}, err
		})
}
