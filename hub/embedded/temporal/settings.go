package temporal

import (
	"time"

	"go.temporal.io/server/common/cluster"
	"go.temporal.io/server/common/config"
	"go.temporal.io/server/common/dynamicconfig"
	"go.temporal.io/server/common/membership/static"
	"go.temporal.io/server/common/primitives"
)

// shards is fixed for the life of the databases: the server refuses, or rather ignores, any other number later.
const shards = 4

const clusterName = "active"

// services in the order of their ports.
var services = [portCount]primitives.ServiceName{primitives.FrontendService, primitives.HistoryService, primitives.MatchingService, primitives.WorkerService}

// staticHosts tells each service where the others are. One process needs no discovery, whose table would still name dead
// hosts for a while after a kill.
func staticHosts(ports int) map[primitives.ServiceName]static.Hosts {
	hosts := map[primitives.ServiceName]static.Hosts{}
	for i, service := range services {
		hosts[service] = static.SingleLocalHost(address(ports + i))
	}
	return hosts
}

// newConfig describes one server of all services on loopback; no metrics, profiling or archival.
func newConfig(s stores, ports int) *config.Config {
	c := &config.Config{
		Services: map[string]config.Service{},
		Persistence: config.Persistence{
			DefaultStore: "main", VisibilityStore: "visibility", NumHistoryShards: shards,
			DataStores: map[string]config.DataStore{"main": {SQL: s.main}, "visibility": {SQL: s.visibility}},
		},
		ClusterMetadata: &cluster.Config{
			FailoverVersionIncrement: 10, MasterClusterName: clusterName, CurrentClusterName: clusterName,
			ClusterInformation: map[string]cluster.ClusterInformation{clusterName: {Enabled: true, InitialFailoverVersion: 1, RPCAddress: address(ports)}},
		},
		DCRedirectionPolicy: config.DCRedirectionPolicy{Policy: "noop"},
		Archival: config.Archival{
			History:    config.HistoryArchival{State: config.ArchivalDisabled},
			Visibility: config.VisibilityArchival{State: config.ArchivalDisabled},
		},
		NamespaceDefaults: config.NamespaceDefaults{Archival: config.ArchivalNamespaceDefaults{
			History:    config.HistoryArchivalNamespaceDefaults{State: config.ArchivalDisabled},
			Visibility: config.VisibilityArchivalNamespaceDefaults{State: config.ArchivalDisabled},
		}},
		PublicClient: config.PublicClient{HostPort: address(ports)},
	}
	c.Global.Membership = config.Membership{MaxJoinDuration: 30 * time.Second, BroadcastAddress: "127.0.0.1"}
	for i, service := range services {
		c.Services[string(service)] = config.Service{RPC: config.RPC{GRPCPort: ports + i, BindOnIP: "127.0.0.1"}}
	}
	return c
}

// dynamicSettings suit a server with one small user: defaults are made for clusters, with thousands of idle goroutines and caches of
// hundreds of megabytes.
var dynamicSettings = dynamicconfig.StaticClient{
	dynamicconfig.MatchingNumTaskqueueReadPartitions.Key():  1,
	dynamicconfig.MatchingNumTaskqueueWritePartitions.Key(): 1,

	dynamicconfig.TimerProcessorSchedulerWorkerCount.Key():                  16,
	dynamicconfig.MemoryTimerProcessorSchedulerWorkerCount.Key():            4,
	dynamicconfig.TransferProcessorSchedulerWorkerCount.Key():               16,
	dynamicconfig.VisibilityProcessorSchedulerWorkerCount.Key():             8,
	dynamicconfig.ArchivalProcessorSchedulerWorkerCount.Key():               1,
	dynamicconfig.ReplicationProcessorSchedulerWorkerCount.Key():            1,
	dynamicconfig.ReplicationLowPriorityProcessorSchedulerWorkerCount.Key(): 1,

	dynamicconfig.HistoryCacheHostLevelMaxSize.Key():     2000,
	dynamicconfig.EventsHostLevelCacheMaxSizeBytes.Key(): 16 << 20,

	// Scanners look for damage that a cluster's lost hosts leave, over all rows.
	dynamicconfig.TaskQueueScannerEnabled.Key():                       false,
	dynamicconfig.HistoryScannerEnabled.Key():                         false,
	dynamicconfig.WorkerScannerMaxConcurrentActivityTaskPollers.Key(): 1,
	dynamicconfig.WorkerScannerMaxConcurrentWorkflowTaskPollers.Key(): 2,

	// A closed workflow goes soon after its retention.
	dynamicconfig.RetentionTimerJitterDuration.Key(): time.Minute,
}
