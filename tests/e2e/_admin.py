# SPDX-License-Identifier: Apache-2.0
"""Asking synauthz's admin pages, reading /metrics as Prometheus does, and what the guides say of them."""

from _cases import *

sys.path.append("/usr/lib/python3/dist-packages")  # Debian's package, also for a python3 that is not Debian's
from prometheus_client.parser import text_string_to_metric_families

sys.path.pop()  # what else is there is older than what aioquic brings

DOCS = os.path.join(ROOT, "docs")
CACHE = os.environ.get("SYNAUTHZ_CACHE", "/var/cache/synauthz")


class Page:
    def __init__(self, response):
        self.status, self.headers, self.body = response.status, dict(response.getheaders()), response.read().decode()

    def __repr__(self):
        return f"<{self.status} {self.headers} {self.body[:300]!r}>"


def ask(lab, address, path, method="GET", headers={}):
    """A page in the server's namespace; `address` is the path of a unix socket, or a host and a port."""
    with lab.server.entered():
        client = socket.socket(socket.AF_UNIX if isinstance(address, str) else socket.AF_INET)
    with client:
        client.settimeout(20)
        client.connect(address)
        connection = http.client.HTTPConnection("admin")
        connection.sock = client
        connection.request(method, path, headers=headers)
        return Page(connection.getresponse())


def wait_for_page(lab, address, path, status, word="", seconds=15):
    def there():
        page = ask(lab, address, path)
        return page.status == status and word in page.body

    wait_until(there, seconds, f"{path} to answer {status} {word}, not {ask(lab, address, path)}")


class Metrics:
    """One scrape."""

    def __init__(self, lab, address):
        page = ask(lab, address, "/metrics")
        if page.status != 200:
            raise LabError(f"/metrics: {page}")
        self.text = page.body
        self.families = {full_name(family): family for family in text_string_to_metric_families(page.body)}

    def value(self, name, **labels):
        """Sum of the samples that have these labels."""
        found = [
            sample.value
            for family in self.families.values()
            for sample in family.samples
            if sample.name == name and labels.items() <= sample.labels.items()
        ]
        if not found:
            raise LabError(f"no sample {name} {labels}")
        return sum(found)

    def labels(self):
        """{name: labels that have a value}, without the `le` of histograms."""
        return {
            name: {label for sample in family.samples for label, text in sample.labels.items() if text} - {"le"}
            for name, family in self.families.items()
        }


def full_name(family):
    """As on the page: the reader takes "_total" off."""
    return family.name + ("_total" if family.type == "counter" else "")


def documented(guide, heading="\n## Metrics\n"):
    """{name: labels} of the metrics in a guide's tables, from a heading to the next of its rank."""
    text = read(os.path.join(DOCS, guide)).split(heading, 1)[1]
    text = text.split("\n" + heading.strip().split(" ")[0] + " ", 1)[0].split("\n## ", 1)[0]
    rows = re.findall(r"^\| `((?:synauthz|process)_\w+)` \|([^|]*)\|", text, re.M)
    names = [name for name, _labels in rows]
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise LabError(f"{guide} has two rows for {', '.join(repeated)}: which is right?")
    return {name: {label for label in labels.strip().split(", ") if label} for name, labels in rows}


def read(path):
    """The text of a log; "" while there is none."""
    try:
        with open(path) as file:
            return file.read()
    except FileNotFoundError:
        return ""


def promtool(*argv, text=None):
    """Prometheus' own checker: (exit status, what it says)."""
    program = shutil.which("promtool") or os.path.join(CACHE, "promtool/promtool")
    done = subprocess.run(
        [program, *argv], input=text, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=120
    )
    return done.returncode, done.stdout


def synauthz(lab, *argv, **options):
    """A verb that ends by itself, in the server's namespace."""
    return subprocess.run(
        lab.server.inside(find_synauthz(), *argv),
        text=True,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        timeout=60,
        **options,
    )


class Manager:
    """Stands for systemd at $NOTIFY_SOCKET."""

    def __init__(self):
        self.path = os.path.join(SCRATCH, "notify")
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(self.path)
        os.chmod(self.path, 0o666)
        self.socket.setblocking(False)
        self.told = []

    def listen(self):
        while True:
            try:
                self.told.append(self.socket.recv(256).decode())
            except BlockingIOError:
                return self.told
