package main

import (
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/ringfleet/ringfleet/messages/apipb"
	"github.com/ringfleet/ringfleet/messages/clientpb"
)

// table prints lines of fields with tabs between them as columns.
func (c *apiClient) table(lines ...string) {
	w := tabwriter.NewWriter(c.out, 0, 0, 2, ' ', 0)
	for _, line := range lines {
		fmt.Fprintln(w, line)
	}
	_ = w.Flush()
}

// invitation shows one invitation, a field a line.
func (c *apiClient) invitation(i *apipb.Invitation) {
	lines := []string{
		"ID\t" + i.GetId(),
		"FROM\t" + printable(i.GetCaller()) + " on " + printable(i.GetCallerDevice()),
		"TO\t" + printable(i.GetCallee()) + on(i.GetCalleeDevice()),
		"STATE\t" + stateOf(i),
	}
	for _, field := range []struct{ name, value string }{
		{"CHANNEL", i.GetChannelId()}, {"CONTENT", i.GetContent()}, {"RESPONSE", i.GetResponse()},
	} {
		if field.value != "" {
			lines = append(lines, field.name+"\t"+printable(field.value))
		}
	}
	if i.GetRemainingMs() > 0 {
		lines = append(lines, "REMAINING\t"+(time.Duration(i.GetRemainingMs())*time.Millisecond).Round(time.Second/10).String())
	}
	lines = append(lines, "SENT\t"+clock(i.GetSentTimeMs()), "ENDED\t"+clock(i.GetEndedTimeMs()))
	c.table(lines...)
}

func on(device string) string {
	if device == "" {
		return ""
	}
	return " on " + printable(device)
}

// stateOf says where an invitation is, or how it ended.
func stateOf(i *apipb.Invitation) string {
	text := strings.TrimPrefix(i.GetStage().String(), "STAGE_")
	if i.GetStage() == apipb.Stage_STAGE_ENDED {
		text = strings.TrimPrefix(i.GetOutcome().String(), "OUTCOME_")
	}
	if code := i.GetLocalError(); code != 0 {
		text += " " + strings.TrimPrefix(code.String(), "LOCAL_INVITATION_ERROR_")
	}
	if reason := i.GetReason(); reason != 0 {
		text += " " + strings.TrimPrefix(reason.String(), "REASON_")
	}
	return text
}

// clock returns a wall time, "-" for none.
func clock(ms uint64) string {
	if ms == 0 {
		return "-"
	}
	return time.UnixMilli(int64(ms)).Format("2006-01-02 15:04:05.000")
}

// printable returns what a user chose, so that it does nothing to a terminal.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r >= 0x7f && r < 0xa0 {
			return '�'
		}
		return r
	}, text)
}

func (c *apiClient) user(u *apipb.User, live, outcomes []*apipb.UserInvitation) {
	fmt.Fprintf(c.out, "%s, on node %s: %d outgoing, %d incoming\n\n", printable(u.GetUser()), u.GetNode(), u.GetOutgoing(), u.GetIncoming())
	lines := []string{"DEVICE\tCONNECTED\tNODE"}
	for _, d := range u.GetDevices() {
		lines = append(lines, fmt.Sprintf("%s\t%v\t%s", printable(d.GetDevice()), d.GetConnected(), d.GetNode()))
	}
	c.table(lines...)
	if node := u.GetAgentNode(); node != "" {
		fmt.Fprintf(c.out, "\nnode %s makes a call on behalf of the user\n", node)
	}
	c.list("LIVE", slices.DeleteFunc(live, func(i *apipb.UserInvitation) bool {
		return i.GetInvitation().GetStage() == apipb.Stage_STAGE_ENDED // a device's last word is awaited
	}))
	c.list("OUTCOME", outcomes)
}

func (c *apiClient) list(title string, of []*apipb.UserInvitation) {
	if len(of) == 0 {
		return
	}
	fmt.Fprintln(c.out)
	lines := []string{title + "\tPEER\tSTATE\tENDED"}
	for _, i := range of {
		peer := "to " + i.GetInvitation().GetCallee()
		if i.GetSide() == clientpb.Side_SIDE_CALLEE {
			peer = "from " + i.GetInvitation().GetCaller()
		}
		lines = append(lines, strings.Join([]string{
			i.GetInvitation().GetId(), printable(peer), stateOf(i.GetInvitation()), clock(i.GetInvitation().GetEndedTimeMs()),
		}, "\t"))
	}
	c.table(lines...)
}

func (c *apiClient) cluster(v *apipb.Cluster) {
	title := "node " + v.GetNode() + " is alone"
	if v.GetName() != "" {
		title = fmt.Sprintf("cluster %s as %s sees it, epoch %d", v.GetName(), v.GetNode(), v.GetEpoch())
	}
	fmt.Fprintf(c.out, "%s\n\n", title)
	lines := []string{"NODE\tLIFECYCLE\tSHARDS\tCLIENTS\tPEERS\tBUILD"}
	for _, m := range v.GetMembers() {
		lines = append(lines, fmt.Sprintf("%s\t%s\t%d\t%s\t%s\t%s", m.GetName(),
			strings.ToLower(strings.TrimPrefix(m.GetLifecycle().String(), "LIFECYCLE_")), m.GetShards(), m.GetClientAddress(), m.GetPeerAddress(), m.GetBuild()))
	}
	c.table(lines...)
}
