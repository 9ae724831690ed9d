package rediskv_test

import (
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/goceleris/celeris/internal/testserver"
	"github.com/goceleris/celeris/middleware/store"
	"github.com/goceleris/celeris/middleware/store/rediskv"
	"github.com/goceleris/celeris/middleware/store/storetest"
)

// cluster starts a Redis cluster of three masters and returns their addresses.
func cluster(t *testing.T) []string {
	t.Helper()
	const nodes, slots = 3, 16384
	ctx := t.Context()
	var addrs []string
	var clients []*redis.Client
	for n := range nodes {
		server := testserver.Redis(t, "--cluster-enabled", "yes", "--cluster-node-timeout", "5000")
		c := client(t, &redis.Options{Addr: server.Addr})
		if err := c.ClusterAddSlotsRange(ctx, n*slots/nodes, (n+1)*slots/nodes-1).Err(); err != nil {
			t.Fatal(err)
		}
		addrs, clients = append(addrs, server.Addr), append(clients, c)
	}
	for _, addr := range addrs[1:] {
		host, port, _ := net.SplitHostPort(addr)
		if err := clients[0].ClusterMeet(ctx, host, port).Err(); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range clients {
		eventually(t, "the cluster", func() error {
			info, err := c.ClusterInfo(ctx).Result()
			if err == nil && !(strings.Contains(info, "cluster_state:ok") && strings.Contains(info, "cluster_known_nodes:3") &&
				strings.Contains(info, "cluster_slots_ok:16384")) {
				err = fmt.Errorf("not ready: %s", info)
			}
			return err
		})
	}
	return addrs
}

func TestKV_ContractInACluster(t *testing.T) {
	t.Parallel()
	c := redis.NewClusterClient(&redis.ClusterOptions{Addrs: cluster(t)})
	t.Cleanup(func() { c.Close() })
	used := map[string]bool{}
	storetest.Run(t, func(t *testing.T) store.KV {
		kv := rediskv.New(c)
		if err := kv.DeletePrefix(t.Context(), ""); err != nil {
			t.Fatal(err)
		}
		return kv
	}, store.AllAbilities)

	// All three had a part in it.
	kv := rediskv.New(c)
	for n := range 100 {
		key := fmt.Sprint("key", n)
		if err := kv.Set(t.Context(), key, nil, 0); err != nil {
			t.Fatal(err)
		}
		node, err := c.MasterForKey(t.Context(), key)
		if err != nil {
			t.Fatal(err)
		}
		used[node.Options().Addr] = true
	}
	if len(used) != 3 {
		t.Errorf("keys are on %d servers, want 3", len(used))
	}
}

// The master is replaced by its replica when it fails, and the store goes on.
func TestKV_SentinelFailover(t *testing.T) {
	t.Parallel()
	master := testserver.Redis(t)
	host, port, _ := net.SplitHostPort(master.Addr)
	replica := testserver.Redis(t, "--replicaof", host, port)
	sentinel := testserver.RedisSentinel(t, "main", master)
	c := redis.NewFailoverClient(&redis.FailoverOptions{MasterName: "main", SentinelAddrs: []string{sentinel}})
	defer c.Close()
	ctx := t.Context()

	storetest.Run(t, func(t *testing.T) store.KV {
		if err := c.FlushAll(t.Context()).Err(); err != nil {
			t.Fatal(err)
		}
		return rediskv.New(c)
	}, store.AllAbilities)

	kv := rediskv.New(c)
	if err := kv.Set(ctx, "kept", []byte("x"), time.Hour); err != nil {
		t.Fatal(err)
	}
	s := redis.NewSentinelClient(&redis.Options{Addr: sentinel})
	defer s.Close()
	eventually(t, "the replica", func() error {
		replicas, err := s.Replicas(ctx, "main").Result()
		if err == nil && (len(replicas) != 1 || replicas[0]["master-link-status"] != "ok") {
			err = fmt.Errorf("replicas: %v", replicas)
		}
		if err == nil {
			err = client(t, &redis.Options{Addr: replica.Addr}).Get(ctx, "kept").Err()
		}
		return err
	})
	master.Kill()
	eventually(t, "Set after the failover", func() error { return kv.Set(ctx, "new", []byte("y"), 0) })
	values, err := kv.MGet(ctx, "kept", "new")
	if err != nil || string(values[0]) != "x" || string(values[1]) != "y" {
		t.Errorf("after the failover: %q, %v", values, err)
	}
}
