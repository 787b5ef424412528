"""What the scripts share whose cases run side by side: messages of groups and topics, and a case whose facts are printed when
it is over."""

import sys
import time
from concurrent.futures import ThreadPoolExecutor

from facts import Facts, until as until_in
from wirecodec import MESSAGES, Connection

ASSIGNED = "topics [id:uuid partitions [i32]]"
DESCRIBED = "topics [id:uuid name:s partitions [i32]]"
MESSAGES |= {
    "NewTopic": (19, 4, False, "topics [name:s partitions:i32 replicas:i16 assignments [index:i32 brokers [i32]] configs [name:s value:ns]] timeout:i32 dry:bool",
                 "throttle:i32 topics [name:s error:i16 message:ns]"),
    "Join": (11, 9, True, "group:s session:i32 rebalance:i32 member:s instance:ns kind:s protocols [name:s data:nb] reason:ns",
             "throttle:i32 error:i16 generation:i32 kind:ns protocol:ns leader:s skip:bool member:s members [id:s instance:ns data:nb]"),
    "Sync": (14, 5, True, "group:s generation:i32 member:s instance:ns kind:ns protocol:ns assignments [id:s data:nb]",
             "throttle:i32 error:i16 kind:ns protocol:ns data:nb"),
    "Heartbeat": (12, 4, True, "group:s generation:i32 member:s instance:ns", "throttle:i32 error:i16"),
    "Leave": (13, 5, True, "group:s members [id:s instance:ns reason:ns]", "throttle:i32 error:i16 members [id:s instance:ns error:i16]"),
    "Describe": (15, 6, True, "groups [s] operations:bool", "throttle:i32 groups [error:i16 message:ns id:s state:s kind:s protocol:s "
                 "members [id:s instance:ns client:s host:s data:nb assignment:nb] operations:i32]"),
    "List": (16, 5, True, "states [s] types [s]", "throttle:i32 error:i16 groups [id:s protocol:s state:s type:s]"),
    "Delete": (42, 2, True, "groups [s]", "throttle:i32 results [id:s error:i16]"),
    "Offsets": (9, 9, True, "groups [id:s member:ns epoch:i32 topics [name:s partitions [i32]]] stable:bool",
                "throttle:i32 groups [id:s topics [name:s partitions [index:i32 offset:i64 epoch:i32 metadata:ns error:i16]] error:i16]"),
    "Topics": (3, 12, True, "topics [id:uuid name:ns] create:bool operations:bool",
               "throttle:i32 brokers [id:i32 host:s port:i32 rack:ns] cluster:ns controller:i32 topics [error:i16 name:ns id:uuid internal:bool "
               "partitions [error:i16 index:i32 leader:i32 epoch:i32 replicas [i32] isr [i32] offline [i32]] operations:i32]"),
    "Forget": (47, 0, False, "group:s topics [name:s partitions [index:i32]]", "error:i16 throttle:i32 topics [name:s partitions [index:i32 error:i16]]"),
    "Beat": (68, 1, True, "group:s member:s epoch:i32 instance:ns rack:ns rebalance:i32 names [s] regex:ns assignor:ns owned [id:uuid partitions [i32]]",
             "throttle:i32 error:i16 message:ns member:ns epoch:i32 interval:i32 assignment {" + ASSIGNED + "}"),
    "ConsumerDescribe": (69, 1, True, "groups [s] operations:bool",
                         "throttle:i32 groups [error:i16 message:ns id:s state:s epoch:i32 assigned:i32 assignor:s members [id:s instance:ns rack:ns epoch:i32 "
                         f"client:s host:s names [s] regex:ns has ({DESCRIBED}) target ({DESCRIBED}) type:i8] operations:i32]"),
}


def until(question, wanted=bool, deadline_s=20):
    return until_in(question, wanted, deadline_s)


class Case(Facts):
    """One case: its facts are printed when it is over. Its names start with `case`."""

    def __init__(self, case=""):
        super().__init__()
        self.prefix += case
        self.facts, self.admin = [], Connection(self.bootstrap, "admin")

    def say(self, name, value):
        self.facts.append((name, value))

    def __call__(self, message, *values):
        return self.admin.ask(message, *values)

    def group(self, name):
        full = self.name(name)
        until(lambda: self("Find4", 0, [full])["found"][0]["error"] == 0)
        # A coordinator is found before it has loaded what it coordinates.
        until(lambda: self("Describe", [full], False)["groups"][0]["error"] not in (14, 15, 16))
        return full

    def listed(self, states=(), types=()):
        groups = [g for g in self("List", list(states), list(types))["groups"] if g["id"].startswith(self.prefix)]
        return sorted([g["id"], g["protocol"], g["state"], g["type"]] for g in groups)


def play(cases, first, new):
    """Plays the cases that the command line names, without a name all; `new(case)` is what a case is asked through."""
    wanted = [c for c in cases if len(sys.argv) < 4 or c.__name__ in sys.argv[3:]]

    def one(run):
        facts = new(run)
        try:
            run(facts)
        except Exception as error:
            facts.say(f"{run.__name__} ended early", Facts.error(error))
        return facts

    # Kafka makes its own topics on the first question.
    first().group("first")
    with ThreadPoolExecutor(len(cases)) as pool:
        for facts in pool.map(one, wanted):
            for name, value in facts.facts:
                Facts.say(facts, name, value)
