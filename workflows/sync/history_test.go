package sync

import (
	"bytes"
	"context"
	"flag"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	enumspb "go.temporal.io/api/enums/v1"
	historypb "go.temporal.io/api/history/v1"
	"go.temporal.io/api/temporalproto"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"
)

var update = flag.Bool("update", false, "save the histories of TestRealSyncs in testdata, for TestHistoriesReplay")

// keepHistory saves the newest history of a workflow, if asked to.
func (h *hub) keepHistory(file, workflowID string) {
	h.Helper()
	if !*update {
		return
	}
	var history historypb.History
	events := h.client.GetWorkflowHistory(h.Context(), workflowID, "", false, enumspb.HISTORY_EVENT_FILTER_TYPE_ALL_EVENT)
	for events.HasNext() {
		event, err := events.Next()
		if err != nil {
			h.Fatal(err)
		}
		history.Events = append(history.Events, event)
	}
	text, err := temporalproto.CustomJSONMarshalOptions{Indent: " "}.Marshal(&history)
	if err != nil {
		h.Fatal(err)
	}
	if name, err := os.Hostname(); err == nil { // in the name of the sticky queue
		text = bytes.ReplaceAll(text, []byte(`"`+name+`:`), []byte(`"host:`))
	}
	if err := os.WriteFile(filepath.Join("testdata", file), append(text, '\n'), 0o644); err != nil {
		h.Fatal(err)
	}
}

// replayCodec puts the name space back that the replayer replaces by one of its own.
type replayCodec struct{ converter.PayloadCodec }

func (c replayCodec) WithSerializationContext(at converter.SerializationContext) converter.PayloadCodec {
	switch place := at.(type) {
	case converter.WorkflowSerializationContext:
		place.Namespace = namespace
		at = place
	case converter.ActivitySerializationContext:
		place.Namespace = namespace
		at = place
	}
	return c.PayloadCodec.(converter.PayloadCodecWithSerializationContext).WithSerializationContext(at)
}

func replayer(t *testing.T, workflows map[string]any) worker.WorkflowReplayer {
	t.Helper()
	data := converter.NewCodecDataConverter(converter.GetDefaultDataConverter(), replayCodec{mustCodec(t)})
	failures := temporal.NewDefaultFailureConverter(temporal.DefaultFailureConverterOptions{DataConverter: data, EncodeCommonAttributes: true})
	r, err := worker.NewWorkflowReplayerWithOptions(worker.WorkflowReplayerOptions{DataConverter: data, FailureConverter: failures})
	if err != nil {
		t.Fatal(err)
	}
	for name, w := range workflows {
		r.RegisterWorkflowWithOptions(w, workflow.RegisterOptions{Name: name})
	}
	return r
}

func replayFile(r worker.WorkflowReplayer, file string) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	history, err := client.HistoryFromJSON(bytes.NewReader(text), client.HistoryJSONOptions{})
	if err != nil {
		return err
	}
	started := history.Events[0].GetWorkflowExecutionStartedEventAttributes()
	return r.ReplayWorkflowHistoryWithOptions(Logger(slog.New(slog.DiscardHandler)), history, worker.ReplayWorkflowHistoryOptions{
		OriginalExecution: workflow.Execution{ID: started.GetWorkflowId(), RunID: started.GetOriginalExecutionRunId()},
	})
}

// TestHistoriesReplay: a worker of this version can go on with workflows that a worker of the version that saved the histories began. If it fails,
// the change to the workflow needs workflow.GetVersion; save new histories beside the old ones (go test -run TestRealSyncs -update).
func TestHistoriesReplay(t *testing.T) {
	files, err := filepath.Glob("testdata/*.json")
	if err != nil || len(files) < 4 {
		t.Fatalf("%d histories in testdata, %v", len(files), err)
	}
	for _, file := range files {
		if err := replayFile(replayer(t, map[string]any{"Sync": Sync, "Due": Due, "Replay": Replay, "Housekeeping": Housekeeping}), file); err != nil {
			t.Errorf("%s: %v", file, err)
		}
		// And it would be noticed: a workflow that does something else does not replay.
		if strings.HasPrefix(filepath.Base(file), "sync") {
			other := func(ctx workflow.Context, in Input) (Result, error) {
				return Result{}, workflow.ExecuteActivity(shortly(ctx, 1), nameEnd, endInput{Target: in.Target}).Get(ctx, nil)
			}
			if err := replayFile(replayer(t, map[string]any{"Sync": other}), file); err == nil {
				t.Errorf("%s replays with another workflow", file)
			}
		}
	}
}

// newestDue finds the workflow that a schedule started last.
func (h *hub) newestDue(prefix string) string {
	h.Helper()
	list, err := h.client.ScheduleClient().GetHandle(context.WithoutCancel(h.Context()), prefix).Describe(h.Context())
	if err != nil || len(list.Info.RecentActions) == 0 {
		h.Fatalf("actions of schedule %s: %v", prefix, err)
	}
	return list.Info.RecentActions[len(list.Info.RecentActions)-1].StartWorkflowResult.WorkflowID
}
