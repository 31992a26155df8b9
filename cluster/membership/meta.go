package membership

import (
	"errors"
	"fmt"
	"strconv"

	"google.golang.org/protobuf/proto"

	"github.com/ringfleet/ringfleet/cluster"
	"github.com/ringfleet/ringfleet/invitation"
	"github.com/ringfleet/ringfleet/messages/peerpb"
)

// gossipName returns the name of a node in the gossip: one for each start.
func gossipName(name string, boot uint64) string {
	return name + "@" + strconv.FormatUint(boot, 16)
}

// encodeMeta returns what a node tells others of itself.
func encodeMeta(clusterName string, m cluster.Member) ([]byte, error) {
	data, err := proto.Marshal(&peerpb.NodeMeta{
		Cluster:        clusterName,
		Name:           m.Name,
		Boot:           m.Boot,
		PeerAddress:    m.Peer,
		GatewayAddress: m.Gateway,
		MinVersion:     cluster.ProtocolVersion,
		MaxVersion:     cluster.ProtocolVersion,
		Shards:         invitation.Shards,
		Lifecycle:      peerpb.Lifecycle(m.Lifecycle),
		Build:          m.Build,
	})
	if err == nil && len(data) > maxMeta {
		err = fmt.Errorf("%d bytes; at most %d", len(data), maxMeta)
	}
	if err != nil {
		return nil, fmt.Errorf("membership: encode what is told to others: %w", err)
	}
	return data, nil
}

// errRefused is wrapped by the errors about nodes that are not let in.
var errRefused = errors.New("membership: not let in")

// refusal is an error that says why a node is not let in; cause is the same for all such nodes.
type refusal struct{ cause, text string }

func (r *refusal) Error() string { return errRefused.Error() + ": " + r.text }
func (r *refusal) Unwrap() error { return errRefused }

func refuse(cause, format string, args ...any) error {
	return &refusal{cause, fmt.Sprintf(format, args...)}
}

// decodeMeta reads what a node tells of itself. The error, a *refusal, says why it is not let in.
func decodeMeta(clusterName, gossip, address string, data []byte) (cluster.Member, error) {
	var meta peerpb.NodeMeta
	if len(data) == 0 || len(data) > maxMeta || proto.Unmarshal(data, &meta) != nil {
		return cluster.Member{}, refuse("meta", "it does not say what it is")
	}
	m := cluster.Member{
		Name:      meta.GetName(),
		Boot:      meta.GetBoot(),
		Peer:      meta.GetPeerAddress(),
		Gateway:   meta.GetGatewayAddress(),
		Gossip:    address,
		Lifecycle: cluster.Lifecycle(meta.GetLifecycle()),
		Build:     meta.GetBuild(),
	}
	switch {
	case meta.GetCluster() != clusterName:
		return m, refuse("cluster", "it is of cluster %q, this node is of %q", meta.GetCluster(), clusterName)
	case meta.GetShards() != invitation.Shards:
		return m, refuse("shards", "it has %d shards, this node has %d", meta.GetShards(), invitation.Shards)
	case meta.GetMinVersion() > cluster.ProtocolVersion || meta.GetMaxVersion() < cluster.ProtocolVersion:
		return m, refuse("version", "it speaks versions %d to %d of the peer protocol, this node speaks %d",
			meta.GetMinVersion(), meta.GetMaxVersion(), cluster.ProtocolVersion)
	case m.Name == "" || len(m.Name) > MaxName || gossipName(m.Name, m.Boot) != gossip:
		return m, refuse("name", "its name is %q, in the gossip it is %q", m.Name, gossip)
	case meta.GetLifecycle() < 0 || m.Lifecycle > cluster.Left:
		return m, refuse("lifecycle", "its lifecycle %d is not known", meta.GetLifecycle())
	}
	return m, nil
}
