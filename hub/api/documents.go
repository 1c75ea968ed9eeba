package api

import (
	"context"
	"encoding/json"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/lrshub/lrshub/hub/access"
	"github.com/lrshub/lrshub/hub/disclose"
)

// documentsTrailer tells, after the last document, that the export is whole.
const documentsTrailer = "Lrshub-Documents"

func (f *face) documents() {
	huma.Register(f.api, huma.Operation{
		OperationID: "documents-export", Method: http.MethodGet, Path: "/api/v1/documents/export", Tags: []string{"documents"},
		Summary: "Stream state and profile documents of the caller's purpose as NDJSON, of the kinds that it may read; the trailer Lrshub-Documents counts them and is absent if the export broke off",
	}, func(ctx context.Context, _ *struct{}) (*huma.StreamResponse, error) {
		caller := ctx.Value(callerKey{}).(access.Caller)
		return &huma.StreamResponse{Body: func(out huma.Context) {
			f.stream(out, documentsTrailer, func(emit func([]byte) error) (int64, error) {
				return f.Disclose.ExportDocuments(out.Context(), caller, func(d disclose.ExportedDocument) error {
					line, err := json.Marshal(d)
					if err != nil {
						return err
					}
					return emit(line)
				})
			})
		}}, nil
	})
}
