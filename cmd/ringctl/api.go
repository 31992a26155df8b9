package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"github.com/ringfleet/ringfleet/messages/apipb"
	"github.com/ringfleet/ringfleet/messages/apipb/apipbconnect"
	"github.com/ringfleet/ringfleet/messages/clientpb"
)

// apiCommands are the commands that speak to the API, and how many words follow each.
var apiCommands = map[string]struct{ least, most int }{
	"get": {2, 2}, "send": {0, 0}, "cancel": {1, 1}, "end": {1, 2}, "cluster": {0, 0}, "watch": {0, 0}, "drain": {1, 1},
}

// The defaults of the API's commands.
const (
	defaultAPI     = "http://127.0.0.1:9190"
	requestTimeout = 15 * time.Second
	pageSize       = 100
	maxPages       = 20 // of a list, so that a user of many calls fills no screen
)

// apiOptions are the flags of the API's commands.
type apiOptions struct {
	url     string
	output  string
	token   string
	from    string
	to      string
	key     string
	content string
	channel string
	timers  [3]time.Duration // no-response, expire, accept-window
}

// isAPICommand reports whether the first word among args, flags and their values apart, is a command of the API.
func isAPICommand(args []string) bool {
	for i := 0; i < len(args); i++ {
		name, isFlag := strings.CutPrefix(args[i], "-")
		if !isFlag {
			_, ok := apiCommands[args[i]]
			return ok
		}
		if name = strings.TrimPrefix(name, "-"); !strings.Contains(name, "=") && !slices.Contains(plainFlags, name) {
			i++ // its value
		}
	}
	return false
}

// plainFlags are those without a value, of all commands.
var plainFlags = []string{"json", "help", "h"}

// parseAPI reads flags and words, which may stand in any order.
func parseAPI(args []string) (*apiOptions, []string, error) {
	o := &apiOptions{}
	f := flag.NewFlagSet("ringctl", flag.ContinueOnError)
	f.SetOutput(io.Discard)
	f.StringVar(&o.url, "api", defaultAPI, "")
	f.StringVar(&o.output, "output", "table", "")
	f.StringVar(&o.token, "token", "", "")
	f.StringVar(&o.from, "from", "", "")
	f.StringVar(&o.to, "to", "", "")
	f.StringVar(&o.key, "key", "", "")
	f.StringVar(&o.content, "content", "", "")
	f.StringVar(&o.channel, "channel", "", "")
	f.DurationVar(&o.timers[0], "no-response", 0, "")
	f.DurationVar(&o.timers[1], "expire", 0, "")
	f.DurationVar(&o.timers[2], "accept-window", 0, "")
	var words []string
	for {
		if err := f.Parse(args); err != nil {
			return nil, words, err
		}
		if f.NArg() == 0 {
			return o, words, nil
		}
		words, args = append(words, f.Arg(0)), f.Args()[1:]
	}
}

// runAPI carries out a command of the API.
func runAPI(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	o, words, err := parseAPI(args)
	if errors.Is(err, flag.ErrHelp) {
		fmt.Fprint(stdout, usage)
		return exitOK
	}
	if err == nil {
		err = o.check(words)
	}
	if err != nil {
		fmt.Fprintf(stderr, "ringctl: %v\n\n%s", err, usage)
		return exitUsage
	}
	token, err := readToken(o.token)
	if err == nil {
		err = newAPIClient(o, token, stdout).do(ctx, words)
	}
	if err == nil || errors.Is(err, context.Canceled) || ctx.Err() != nil && connect.CodeOf(err) == connect.CodeCanceled {
		return exitOK
	}
	text, again := explain(err)
	fmt.Fprintf(stderr, "ringctl: %s\n", text)
	if again {
		return exitRetry
	}
	return exitError
}

func isURL(text string) bool {
	u, err := url.Parse(text)
	return err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Host != ""
}

func (o *apiOptions) check(words []string) error {
	command, rest := words[0], words[1:]
	n := apiCommands[command]
	switch {
	case len(rest) < n.least || len(rest) > n.most:
		return fmt.Errorf("%s: want %s", command, map[string]string{
			"get": "\"invitation ID\" or \"user ID\"", "cancel": "an invitation's id", "end": "a user, and maybe a device", "drain": "a node",
		}[command])
	case command == "get" && rest[0] != "invitation" && rest[0] != "user":
		return fmt.Errorf("get %s: want \"get invitation ID\" or \"get user ID\"", rest[0])
	case command == "send" && (o.from == "" || o.to == "" || o.key == ""):
		return errors.New("send needs --from, --to and --key")
	case !isURL(o.url):
		return fmt.Errorf("api %q: want http:// or https://, and a host", o.url)
	case o.output != "table" && o.output != "json":
		return fmt.Errorf("output %q: want table or json", o.output)
	}
	return nil
}

// readToken returns the token in a file; "-" reads it from the environment.
func readToken(file string) (string, error) {
	switch file {
	case "":
		return "", nil
	case "-":
		return os.Getenv("RINGCTL_TOKEN"), nil
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return "", fmt.Errorf("token: %w", err)
	}
	return string(trimmed(text)), nil
}

// explain returns an error of the API for people, and whether the same command may succeed later.
func explain(err error) (string, bool) {
	failed, ok := errors.AsType[*connect.Error](err)
	if !ok {
		return err.Error(), false
	}
	text := strings.ToUpper(failed.Code().String())
	for _, d := range failed.Details() {
		value, err := d.Value()
		if err != nil {
			continue
		}
		if detail, ok := value.(*apipb.ErrorDetail); ok {
			name := strings.TrimPrefix(detail.GetCode().String(), "INVITATION_API_CALL_ERROR_")
			if detail.GetCode() != 0 && name != text {
				text += " (" + name + ")"
			}
			return text + ": " + failed.Message(), detail.GetRetryable()
		}
	}
	return text + ": " + failed.Message(), failed.Code() == connect.CodeUnavailable
}

// apiClient speaks to the API of a node.
type apiClient struct {
	options     *apiOptions
	out         io.Writer
	invitations apipbconnect.InvitationServiceClient
	users       apipbconnect.UserServiceClient
	nodes       apipbconnect.ClusterServiceClient
}

func newAPIClient(o *apiOptions, token string, out io.Writer) *apiClient {
	transport := http.DefaultTransport
	if token != "" {
		transport = withToken{"Bearer " + token, transport}
	}
	h := &http.Client{Transport: transport}
	url := strings.TrimRight(o.url, "/")
	return &apiClient{
		options: o, out: out, invitations: apipbconnect.NewInvitationServiceClient(h, url),
		users: apipbconnect.NewUserServiceClient(h, url), nodes: apipbconnect.NewClusterServiceClient(h, url),
	}
}

// withToken brings a token with each request.
type withToken struct {
	authorization string
	next          http.RoundTripper
}

// RoundTrip implements http.RoundTripper.
func (w withToken) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("Authorization", w.authorization)
	return w.next.RoundTrip(r)
}

func (c *apiClient) do(ctx context.Context, words []string) error {
	if words[0] == "watch" {
		return c.watch(ctx)
	}
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	switch words[0] {
	case "get":
		if words[1] == "user" {
			return c.getUser(ctx, words[2])
		}
		r, err := c.invitations.GetInvitation(ctx, connect.NewRequest(&apipb.GetInvitationRequest{InvitationId: words[2]}))
		return shown(c, r, err, func(m *apipb.GetInvitationResponse) { c.invitation(m.GetInvitation()) })
	case "send":
		r, err := c.invitations.SendInvitation(ctx, connect.NewRequest(c.options.send()))
		return shown(c, r, err, func(m *apipb.SendInvitationResponse) { c.invitation(m.GetInvitation()) })
	case "cancel":
		r, err := c.invitations.CancelInvitation(ctx, connect.NewRequest(&apipb.CancelInvitationRequest{InvitationId: words[1]}))
		return shown(c, r, err, func(m *apipb.CancelInvitationResponse) { c.invitation(m.GetInvitation()) })
	case "end":
		return c.end(ctx, words[1:])
	case "cluster":
		r, err := c.nodes.GetCluster(ctx, connect.NewRequest(&apipb.GetClusterRequest{}))
		return shown(c, r, err, func(m *apipb.GetClusterResponse) { c.cluster(m.GetCluster()) })
	default:
		r, err := c.nodes.DrainNode(ctx, connect.NewRequest(&apipb.DrainNodeRequest{Node: words[1]}))
		return shown(c, r, err, func(*apipb.DrainNodeResponse) {
			fmt.Fprintf(c.out, "%s drains; \"ringctl watch\" shows how far it is\n", words[1])
		})
	}
}

func (o *apiOptions) send() *apipb.SendInvitationRequest {
	r := &apipb.SendInvitationRequest{
		Caller: o.from, Key: o.key, Callee: o.to, Content: o.content, ChannelId: o.channel,
	}
	if o.timers != [3]time.Duration{} {
		r.Timers = &clientpb.Timers{
			NoResponseMs: uint32(o.timers[0].Milliseconds()), ExpireMs: uint32(o.timers[1].Milliseconds()),
			AcceptWindowMs: uint32(o.timers[2].Milliseconds()),
		}
	}
	return r
}

// shown shows an answer, as JSON or by table.
func shown[T any, M interface {
	*T
	proto.Message
}](c *apiClient, r *connect.Response[T], err error, table func(*T)) error {
	switch {
	case err != nil:
		return err
	case c.options.output == "json":
		return c.json(M(r.Msg))
	}
	table(r.Msg)
	return nil
}

// json prints a message as one line of JSON, every field of it.
func (c *apiClient) json(m proto.Message) error {
	text, err := asJSON(m)
	if err != nil {
		return err
	}
	fmt.Fprintf(c.out, "%s\n", text)
	return nil
}

// asJSON returns the JSON of a message without the blanks that protojson puts at random.
func asJSON(m proto.Message) (json.RawMessage, error) {
	text, err := protojson.MarshalOptions{EmitUnpopulated: true}.Marshal(m)
	if err != nil {
		return nil, err
	}
	return json.Marshal(json.RawMessage(text))
}

// getUser shows a user, what lives of it, and its last outcomes.
func (c *apiClient) getUser(ctx context.Context, name string) error {
	user, err := c.users.GetUser(ctx, connect.NewRequest(&apipb.GetUserRequest{User: name}))
	if err != nil {
		return err
	}
	live, err := pages(func(token string) ([]*apipb.UserInvitation, string, error) {
		r, err := c.users.ListUserInvitations(ctx, connect.NewRequest(&apipb.ListUserInvitationsRequest{User: name, PageSize: pageSize, PageToken: token}))
		if err != nil {
			return nil, "", err
		}
		return r.Msg.GetInvitations(), r.Msg.GetNextPageToken(), nil
	})
	if err != nil {
		return err
	}
	outcomes, err := pages(func(token string) ([]*apipb.UserInvitation, string, error) {
		r, err := c.users.ListUserOutcomes(ctx, connect.NewRequest(&apipb.ListUserOutcomesRequest{User: name, PageSize: pageSize, PageToken: token}))
		if err != nil {
			return nil, "", err
		}
		return r.Msg.GetOutcomes(), r.Msg.GetNextPageToken(), nil
	})
	if err != nil {
		return err
	}
	if c.options.output != "json" {
		c.user(user.Msg.GetUser(), live, outcomes)
		return nil
	}
	return c.userJSON(user.Msg.GetUser(), live, outcomes)
}

func (c *apiClient) userJSON(user *apipb.User, live, outcomes []*apipb.UserInvitation) error {
	all := struct {
		User        json.RawMessage   `json:"user"`
		Invitations []json.RawMessage `json:"invitations"`
		Outcomes    []json.RawMessage `json:"outcomes"`
	}{Invitations: []json.RawMessage{}, Outcomes: []json.RawMessage{}}
	var err error
	if all.User, err = asJSON(user); err != nil {
		return err
	}
	for list, of := range map[*[]json.RawMessage][]*apipb.UserInvitation{&all.Invitations: live, &all.Outcomes: outcomes} {
		for _, i := range of {
			text, err := asJSON(i)
			if err != nil {
				return err
			}
			*list = append(*list, text)
		}
	}
	return json.NewEncoder(c.out).Encode(all)
}

// pages returns a list, page by page.
func pages(next func(token string) ([]*apipb.UserInvitation, string, error)) ([]*apipb.UserInvitation, error) {
	var all []*apipb.UserInvitation
	token := ""
	for range maxPages {
		page, following, err := next(token)
		if err != nil {
			return nil, err
		}
		all = append(all, page...)
		if token = following; token == "" {
			break
		}
	}
	return all, nil
}

// end ends a user's session, or one device.
func (c *apiClient) end(ctx context.Context, words []string) error {
	if len(words) == 2 {
		r, err := c.users.EndDevice(ctx, connect.NewRequest(&apipb.EndDeviceRequest{User: words[0], Device: words[1]}))
		return shown(c, r, err, func(*apipb.EndDeviceResponse) { fmt.Fprintf(c.out, "%s is logged out on %s\n", words[0], words[1]) })
	}
	r, err := c.users.EndSession(ctx, connect.NewRequest(&apipb.EndSessionRequest{User: words[0]}))
	return shown(c, r, err, func(m *apipb.EndSessionResponse) {
		if len(m.GetDevices()) == 0 {
			fmt.Fprintf(c.out, "%s was not logged in\n", words[0])
			return
		}
		fmt.Fprintf(c.out, "%s is logged out on %s\n", words[0], strings.Join(m.GetDevices(), ", "))
	})
}

// watch shows the cluster, and again with each change, until it is interrupted.
func (c *apiClient) watch(ctx context.Context) error {
	stream, err := c.nodes.WatchCluster(ctx, connect.NewRequest(&apipb.WatchClusterRequest{}))
	if err != nil {
		return err
	}
	defer stream.Close()
	for stream.Receive() {
		if c.options.output == "json" {
			if err := c.json(stream.Msg()); err != nil {
				return err
			}
			continue
		}
		c.cluster(stream.Msg().GetCluster())
		fmt.Fprintln(c.out)
	}
	return stream.Err()
}
