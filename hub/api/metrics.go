package api

import (
	"context"
	"net/http"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/lrshub/lrshub/hub/access"
	"github.com/lrshub/lrshub/hub/auth"
	"github.com/lrshub/lrshub/hub/connection"
	"github.com/lrshub/lrshub/hub/database"
)

// MetricsPath is where Metrics is mounted.
const MetricsPath = "/metrics"

// What is told of the connections of a tenant. No label and no number is about a person.
var (
	streamLabels = []string{"connection", "connector", "stream"}
	readMetric   = prometheus.NewDesc("lrshub_stream_read_timestamp_seconds", "When a run last came to the end of the stream.", streamLabels, nil)
	pushedMetric = prometheus.NewDesc("lrshub_stream_pushed_timestamp_seconds", "When the source last pushed to the stream.", streamLabels, nil)
	changeMetric = prometheus.NewDesc("lrshub_stream_changed_timestamp_seconds", "When anything of the stream last changed.", streamLabels, nil)
	lateMetric   = prometheus.NewDesc("lrshub_stream_late", "1 if the stream is older than its connection's late_after allows.", streamLabels, nil)
	deadMetric   = prometheus.NewDesc("lrshub_dead_letters", "Open dead letters.", []string{"connection", "connector", "stream", "code"}, nil)
	runMetric    = prometheus.NewDesc("lrshub_run_state", "1 for the state of the connection's newest run.", []string{"connection", "connector", "state"}, nil)
	pausedMetric = prometheus.NewDesc("lrshub_connection_paused", "1 if the connection is paused.", []string{"connection", "connector"}, nil)
)

// Metrics serves /metrics for Prometheus: the freshness of each stream, dead letters and newest runs of the caller's tenant. It wants a credential that may read
// connections, as a bearer token or Basic: `authorization: {credentials: lrshub_…}` in the scrape configuration.
func Metrics(rooms Rooms) http.Handler {
	f := &face{Rooms: rooms}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		caller, err := f.Clients.Request(f.DB, r)
		if err == nil {
			err = f.allow(r.Context(), caller, readConnections)
		}
		if err == nil {
			err = f.allow(r.Context(), caller, readSyncs)
		}
		if err == nil {
			err = f.allow(r.Context(), caller, readLetters)
		}
		var list scraped
		if err == nil {
			list, err = f.scrape(r.Context(), caller)
		}
		if err != nil {
			p := problemOf(err)
			if p.Status == http.StatusUnauthorized {
				auth.Challenge(w.Header())
			}
			http.Error(w, p.Detail, p.Status)
			return
		}
		registry := prometheus.NewPedanticRegistry()
		registry.MustRegister(list)
		promhttp.HandlerFor(registry, promhttp.HandlerOpts{}).ServeHTTP(w, r)
	})
}

// scraped is what was read for one scrape.
type scraped []scrapedConnection

type scrapedConnection struct {
	connection.Connection
	streams []connection.Freshness
	letters []connection.DeadCount
	state   connection.RunState // of the newest run; "": there was none
}

func (f *face) scrape(ctx context.Context, caller access.Caller) (list scraped, err error) {
	err = f.DB.ReadTenant(ctx, caller.Tenant, func(ctx context.Context, tx *database.Tx) error {
		list = nil
		all, err := connection.List(ctx, tx)
		if err != nil {
			return err
		}
		ids := make([]uuid.UUID, len(all))
		for i, c := range all {
			ids[i] = c.ID
		}
		fresh, err := connection.FreshnessOf(ctx, tx, ids)
		if err != nil {
			return err
		}
		for _, c := range all {
			one := scrapedConnection{Connection: c, streams: fresh[c.ID]}
			if one.letters, err = connection.CountDeadLetters(ctx, tx, c.ID); err != nil {
				return err
			}
			runs, err := connection.History(ctx, tx, c.ID, time.Time{}, 1)
			if err != nil {
				return err
			}
			if len(runs) > 0 {
				one.state = runs[0].State
			}
			list = append(list, one)
		}
		return nil
	})
	return list, err
}

// Describe is for the registry.
func (scraped) Describe(to chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{readMetric, pushedMetric, changeMetric, lateMetric, deadMetric, runMetric, pausedMetric} {
		to <- d
	}
}

// Collect is for the registry.
func (s scraped) Collect(to chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, value float64, labels ...string) {
		to <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value, labels...)
	}
	truth := func(yes bool) float64 {
		if yes {
			return 1
		}
		return 0
	}
	for _, c := range s {
		gauge(pausedMetric, truth(c.State == connection.Paused), c.Name, c.Connector)
		if c.state != "" {
			gauge(runMetric, 1, c.Name, c.Connector, string(c.state))
		}
		for _, stream := range c.streams {
			for d, at := range map[*prometheus.Desc]*time.Time{readMetric: stream.ReadAt, pushedMetric: stream.PushedAt, changeMetric: stream.ChangedAt} {
				if at != nil {
					gauge(d, float64(at.UnixMilli())/1000, c.Name, c.Connector, stream.Stream)
				}
			}
			gauge(lateMetric, truth(stream.LateSince != nil), c.Name, c.Connector, stream.Stream)
		}
		for _, n := range c.letters {
			gauge(deadMetric, float64(n.Count), c.Name, c.Connector, n.Stream, n.Code)
		}
	}
}
