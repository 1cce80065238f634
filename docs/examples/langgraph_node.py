"""A LangGraph graph that starts its model only when issues changed."""

from typing import TypedDict

from heartbeat import heartbeat
from langgraph.graph import END, START, StateGraph


class State(TypedDict):
    agent: str
    changes: list[dict]


def check_issues(state: State) -> dict:
    """Sends a heartbeat and keeps what changed."""
    return {"changes": heartbeat(state["agent"])["touched"]}


def build(work):
    """The graph; `work` is the node that costs money."""
    graph = StateGraph(State)
    graph.add_node("check_issues", check_issues)
    graph.add_node("work", work)
    graph.add_edge(START, "check_issues")
    graph.add_conditional_edges("check_issues", lambda state: "work" if state["changes"] else END, ["work", END])
    graph.add_edge("work", END)
    return graph.compile()
