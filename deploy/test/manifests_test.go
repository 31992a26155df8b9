package deploy

import (
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// clusters are the overlays with a cluster that clients reach.
var clusters = []string{production, everything}

// statefulSets returns each overlay's StatefulSet, by overlay.
func statefulSets(t *testing.T) map[string]*appsv1.StatefulSet {
	t.Helper()
	sets := map[string]*appsv1.StatefulSet{}
	for _, overlay := range []string{production, everything, development} {
		sets[overlay] = one[*appsv1.StatefulSet](t, overlay)
	}
	return sets
}

// setting returns the value that a node in a pod has for a setting.
func (p pod) setting(t *testing.T, name string) string {
	t.Helper()
	if v, ok := p.env["RINGFLEET_"+strings.ToUpper(strings.ReplaceAll(name, "-", "_"))]; ok {
		return v
	}
	v, ok := settings(t)[name]
	if !ok {
		t.Errorf("there is no setting %s", name)
	}
	return v
}

// port returns the port of an address in a setting.
func (p pod) port(t *testing.T, name string) int32 {
	t.Helper()
	_, text, err := net.SplitHostPort(p.setting(t, name))
	port, portErr := strconv.ParseInt(text, 10, 32)
	if err != nil || portErr != nil {
		t.Errorf("%s: %s is no address with a port", p.overlay, p.setting(t, name))
	}
	return int32(port)
}

// TestPorts compares what the pods, the services and the advertised addresses say with where the node listens.
func TestPorts(t *testing.T) {
	for _, p := range nodes(t) {
		if !slices.Contains(clusters, p.overlay) {
			continue
		}
		clients, admin := p.port(t, "client-address"), p.port(t, "admin-address")
		gossip, peers := p.port(t, "gossip-address"), p.port(t, "peer-address")
		want := map[string]string{
			"clients": fmt.Sprint(clients, "/TCP"), "admin": fmt.Sprint(admin, "/TCP"), "gossip": fmt.Sprint(gossip, "/TCP"),
			"gossip-udp": fmt.Sprint(gossip, "/UDP"), "peers": fmt.Sprint(peers, "/TCP"),
		}
		for _, c := range p.container.Ports {
			if got := fmt.Sprintf("%d/%s", c.ContainerPort, c.Protocol); got != want[c.Name] {
				t.Errorf("%s: container port %s is %s, but the node listens on %s", p.overlay, c.Name, got, want[c.Name])
			}
		}
		if len(p.container.Ports) != len(want) {
			t.Errorf("%s: %d container ports, want %d", p.overlay, len(p.container.Ports), len(want))
		}
		for setting, port := range map[string]int32{"gossip-advertise": gossip, "peer-advertise": peers, "client-advertise": clients} {
			if want := net.JoinHostPort(podIP, strconv.Itoa(int(port))); p.setting(t, setting) != want {
				t.Errorf("%s: %s is %q, want %q", p.overlay, setting, p.setting(t, setting), want)
			}
		}
		p.testServices(t, map[string][]string{
			"ringfleet": {"clients"}, "ringfleet-admin": {"admin"}, "ringfleet-nodes": {"gossip", "gossip-udp", "peers"},
		}, want)
		set := one[*appsv1.StatefulSet](t, p.overlay)
		if want := net.JoinHostPort(set.Spec.ServiceName, strconv.Itoa(int(gossip))); p.setting(t, "join") != want {
			t.Errorf("%s: nodes join %q, want %q", p.overlay, p.setting(t, "join"), want)
		}
	}
}

// testServices compares the services with what they should lead to: names of ports, and number and protocol of each.
func (p pod) testServices(t *testing.T, want map[string][]string, ports map[string]string) {
	t.Helper()
	pods := labels.Set(one[*appsv1.StatefulSet](t, p.overlay).Spec.Template.Labels)
	services := all[*corev1.Service](t, p.overlay)
	if len(services) != len(want) {
		t.Errorf("%s has %d services, want %d", p.overlay, len(services), len(want))
	}
	for _, s := range services {
		var names []string
		for _, port := range s.Spec.Ports {
			names = append(names, port.TargetPort.StrVal)
			if got := fmt.Sprintf("%d/%s", port.Port, port.Protocol); got != ports[port.TargetPort.StrVal] {
				t.Errorf("%s: port %s of service %s is %s, want %s", p.overlay, port.Name, s.Name, got, ports[port.TargetPort.StrVal])
			}
		}
		if !slices.Equal(names, want[s.Name]) {
			t.Errorf("%s: service %s leads to %v, want %v", p.overlay, s.Name, names, want[s.Name])
		}
		if !labels.SelectorFromSet(s.Spec.Selector).Matches(pods) {
			t.Errorf("%s: service %s selects no pod", p.overlay, s.Name)
		}
		headless := s.Spec.ClusterIP == corev1.ClusterIPNone && s.Spec.PublishNotReadyAddresses
		if headless != (s.Name != "ringfleet") {
			t.Errorf("%s: service %s: all but the clients' is headless, with pods that are not ready", p.overlay, s.Name)
		}
	}
}

// TestPolicies writes down what the network policies of the cluster let through, and compares.
func TestPolicies(t *testing.T) {
	const between = "[7946/TCP 7946/UDP 7947/TCP]"
	want := []string{
		"ringfleet-clients: in from [anywhere] to [8080/TCP]",
		"ringfleet-nodes: in from [nodes] to " + between,
		"ringfleet-nodes: out to [anywhere] [53/UDP 53/TCP]",
		"ringfleet-nodes: out to [nodes] " + between,
		"ringfleet-scrape: in from [namespace kubernetes.io/metadata.name=monitoring] to [9090/TCP]",
	}
	for _, overlay := range clusters {
		want := want
		if overlay == everything { // component jwks
			want = append([]string{"ringfleet-issuer: out to [anywhere] [443/TCP]"}, want...)
			slices.Sort(want)
		}
		pods := labels.Set(one[*appsv1.StatefulSet](t, overlay).Spec.Template.Labels)
		var got []string
		for _, p := range all[*networkingv1.NetworkPolicy](t, overlay) {
			if s, err := metav1.LabelSelectorAsSelector(&p.Spec.PodSelector); err != nil || s.Empty() || !s.Matches(pods) {
				t.Errorf("%s: policy %s does not select the nodes alone (%v)", overlay, p.Name, err)
			}
			if !slices.Contains(p.Spec.PolicyTypes, networkingv1.PolicyTypeIngress) && len(p.Spec.Egress) == 0 {
				t.Errorf("%s: policy %s leaves ingress open", overlay, p.Name)
			}
			for _, rule := range p.Spec.Ingress {
				got = append(got, fmt.Sprintf("%s: in from %v to %v", p.Name, places(rule.From, pods), ports(rule.Ports)))
			}
			for _, rule := range p.Spec.Egress {
				got = append(got, fmt.Sprintf("%s: out to %v %v", p.Name, places(rule.To, pods), ports(rule.Ports)))
			}
		}
		slices.Sort(got)
		if !slices.Equal(got, want) {
			t.Errorf("%s lets through\n%s\nwant\n%s", overlay, strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
	}
}

func ports(list []networkingv1.NetworkPolicyPort) []string {
	var names []string
	for _, p := range list {
		names = append(names, p.Port.String()+"/"+string(*p.Protocol))
	}
	return names
}

func places(peers []networkingv1.NetworkPolicyPeer, pods labels.Set) []string {
	if len(peers) == 0 {
		return []string{"anywhere"}
	}
	var names []string
	for _, p := range peers {
		switch {
		case p.PodSelector != nil && p.NamespaceSelector == nil && labels.SelectorFromSet(p.PodSelector.MatchLabels).Matches(pods):
			names = append(names, "nodes")
		case p.NamespaceSelector != nil && p.PodSelector == nil:
			names = append(names, "namespace "+labels.FormatLabels(p.NamespaceSelector.MatchLabels))
		default:
			names = append(names, p.String())
		}
	}
	return names
}

// margin is what a pod has beside preStop and the node's own timeout: for the process to start to end, and to exit.
const margin = 5 * time.Second

// TestGracePeriods compares the time that Kubernetes gives with the time that the node takes.
func TestGracePeriods(t *testing.T) {
	for _, p := range nodes(t) {
		takes, err := time.ParseDuration(p.setting(t, "shutdown-timeout"))
		if err != nil {
			t.Fatal(err)
		}
		if n, _ := strconv.Atoi(p.setting(t, "nodes")); n > 1 {
			takes *= time.Duration(n) // one after the other
		} else {
			stop := p.container.Lifecycle.PreStop
			if stop == nil || stop.Sleep == nil || stop.Sleep.Seconds < 1 {
				t.Errorf("%s: nothing lets the services forget the pod before it ends", p.overlay)
				continue
			}
			takes += time.Duration(stop.Sleep.Seconds) * time.Second
		}
		given := time.Duration(*p.spec.TerminationGracePeriodSeconds) * time.Second
		if given < takes+margin {
			t.Errorf("%s: a pod is killed after %v, but may take %v: want %v more", p.overlay, given, takes, margin)
		}
	}
}

// TestProbes bounds how quick the probes are to judge.
func TestProbes(t *testing.T) {
	for _, p := range nodes(t) {
		if p.overlay == loadtest {
			continue // its node listens on loopback, where the kubelet cannot ask
		}
		patience := func(probe *corev1.Probe) int32 {
			if probe.HTTPGet.Port != intstr.FromString("admin") {
				t.Errorf("%s: a probe asks at port %s", p.overlay, probe.HTTPGet.Port.String())
			}
			return probe.PeriodSeconds * probe.FailureThreshold
		}
		if p.container.ReadinessProbe.HTTPGet.Path != "/readyz" || p.container.LivenessProbe.HTTPGet.Path != "/healthz" {
			t.Errorf("%s: want /readyz for readiness and /healthz for liveness", p.overlay)
		}
		if s := patience(p.container.LivenessProbe); s < 60 || p.container.LivenessProbe.TimeoutSeconds < 5 {
			t.Errorf("%s: a busy node is killed after %d s", p.overlay, s)
		}
		if s := patience(p.container.ReadinessProbe); s > 30 {
			t.Errorf("%s: a node that does not serve gets clients for %d s", p.overlay, s)
		}
		join, err := time.ParseDuration(p.setting(t, "join-timeout"))
		if s := patience(p.container.StartupProbe); err != nil || time.Duration(s)*time.Second < 2*join {
			t.Errorf("%s: %d s to start, with a join-timeout of %v (%v)", p.overlay, s, join, err)
		}
	}
}

// TestOneMachine looks for what would keep a cluster of one machine from running all pods.
func TestOneMachine(t *testing.T) {
	for overlay, set := range statefulSets(t) {
		spec := set.Spec.Template.Spec
		if spec.Affinity != nil || len(spec.NodeSelector) > 0 {
			t.Errorf("%s: pods want certain machines", overlay)
		}
		if len(spec.TopologySpreadConstraints) == 0 {
			t.Errorf("%s: pods do not spread", overlay)
		}
		for _, c := range spec.TopologySpreadConstraints {
			if c.WhenUnsatisfiable != corev1.ScheduleAnyway {
				t.Errorf("%s: pods that cannot be spread by %s wait", overlay, c.TopologyKey)
			}
		}
		if set.Spec.PodManagementPolicy != appsv1.ParallelPodManagement {
			t.Errorf("%s: pods start one after the other", overlay)
		}
		if set.Spec.UpdateStrategy.Type == appsv1.OnDeleteStatefulSetStrategyType {
			t.Errorf("%s: an update does not roll", overlay)
		}
		replicas := map[string]int32{production: 3, development: 1}
		if want, ok := replicas[overlay]; ok && (set.Spec.Replicas == nil || *set.Spec.Replicas != want) {
			t.Errorf("%s: want %d replicas", overlay, want)
		}
		budget := one[*policyv1.PodDisruptionBudget](t, overlay)
		s, err := metav1.LabelSelectorAsSelector(budget.Spec.Selector)
		if err != nil || !s.Matches(labels.Set(set.Spec.Template.Labels)) || *budget.Spec.MaxUnavailable != intstr.FromInt32(1) {
			t.Errorf("%s: the budget is %v (%v)", overlay, budget.Spec, err)
		}
	}
	if set := one[*appsv1.StatefulSet](t, everything); set.Spec.Replicas != nil {
		t.Error("with an autoscaler, applying the manifests again would set the number of nodes back")
	}
	scaler := one[*autoscalingv2.HorizontalPodAutoscaler](t, everything)
	if to := scaler.Spec.ScaleTargetRef; to.Kind != "StatefulSet" || to.Name != "ringfleet" || *scaler.Spec.MinReplicas != 3 {
		t.Errorf("the autoscaler scales %v from %d", to, *scaler.Spec.MinReplicas)
	}
}

// TestRestricted asks of every pod what the Pod Security Standard "restricted" does, and a bit more.
func TestRestricted(t *testing.T) {
	specs := map[string]corev1.PodSpec{loadtest: one[*batchv1.Job](t, loadtest).Spec.Template.Spec}
	for overlay, set := range statefulSets(t) {
		specs[overlay] = set.Spec.Template.Spec
	}
	for overlay, spec := range specs {
		is := func(b *bool, want bool) bool { return b != nil && *b == want }
		if s := spec.SecurityContext; s == nil || !is(s.RunAsNonRoot, true) || s.RunAsUser == nil || *s.RunAsUser == 0 ||
			s.SeccompProfile == nil || s.SeccompProfile.Type != corev1.SeccompProfileTypeRuntimeDefault {
			t.Errorf("%s: the pod's security context is %v", overlay, s)
		}
		if !is(spec.AutomountServiceAccountToken, false) || spec.HostNetwork || spec.HostPID || spec.HostIPC {
			t.Errorf("%s: the pod gets a token or something of its host", overlay)
		}
		for _, c := range slices.Concat(spec.InitContainers, spec.Containers) {
			if s := c.SecurityContext; s == nil || !is(s.AllowPrivilegeEscalation, false) || !is(s.ReadOnlyRootFilesystem, true) ||
				s.Capabilities == nil || !slices.Equal(s.Capabilities.Drop, []corev1.Capability{"ALL"}) || len(s.Capabilities.Add) > 0 {
				t.Errorf("%s: the security context of %s is %v", overlay, c.Name, s)
			}
			if c.ImagePullPolicy != corev1.PullIfNotPresent {
				t.Errorf("%s: %s is pulled %s", overlay, c.Name, c.ImagePullPolicy)
			}
			r := c.Resources
			if r.Requests.Cpu().IsZero() || r.Limits.Cpu().IsZero() || r.Requests.Memory().IsZero() || r.Limits.Memory().IsZero() {
				t.Errorf("%s: %s lacks requests or limits", overlay, c.Name)
			}
			for _, m := range c.VolumeMounts {
				if !m.ReadOnly {
					t.Errorf("%s: %s may write to %s", overlay, c.Name, m.MountPath)
				}
			}
		}
	}
	for _, overlay := range slices.Concat(clusters, []string{development}) {
		if *one[*corev1.ServiceAccount](t, overlay).AutomountServiceAccountToken {
			t.Errorf("%s: the service account gives its token to pods", overlay)
		}
	}
	for _, overlay := range overlays {
		if one[*corev1.Namespace](t, overlay).Labels["pod-security.kubernetes.io/enforce"] != "restricted" {
			t.Errorf("%s: the namespace takes any pod", overlay)
		}
	}
}

// TestMemory compares GOMEMLIMIT and GOMAXPROCS with the limits.
func TestMemory(t *testing.T) {
	for _, p := range nodes(t) {
		if p.overlay == loadtest {
			continue // three processes share them
		}
		limit := p.container.Resources.Limits.Memory().Value()
		soft, err := strconv.ParseInt(p.env["GOMEMLIMIT"], 10, 64)
		if err != nil || soft > limit/10*9 || soft < limit/2 {
			t.Errorf("%s: GOMEMLIMIT is %q with a limit of %d: want half to nine tenths", p.overlay, p.env["GOMEMLIMIT"], limit)
		}
		if want := strconv.FormatInt(p.container.Resources.Limits.Cpu().Value(), 10); p.env["GOMAXPROCS"] != want {
			t.Errorf("%s: GOMAXPROCS is %q, want %s", p.overlay, p.env["GOMAXPROCS"], want)
		}
	}
}
