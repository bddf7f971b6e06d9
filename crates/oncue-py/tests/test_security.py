"""CURVE and PLAIN: keys, certificates, passwords, and who is let in."""

import pathlib
import stat
import threading
import time

import pytest
from conftest import LIMIT, until

import oncue
from oncue import curve


def arrives(pub, sub, limit=LIMIT):
    """Whether messages of one reach the other within the limit."""
    sub.connect(pub.bind("tcp://127.0.0.1:0"))
    sub.subscribe("")
    end = time.monotonic() + limit
    while time.monotonic() < end:
        pub.send("topic", "value")
        if sub.poll(0.01):
            return sub.recv(0) == (b"topic", b"value")
    return False


def refused(pub, sub):
    """Waits until a publisher has refused a subscriber, and returns the text."""
    sub.connect(pub.bind("tcp://127.0.0.1:0"))
    sub.subscribe("")
    return until(pub.refused)[-1].text


@pytest.fixture
def keys():
    return curve.generate(), curve.generate()


class TestKeys:
    def test_a_pair_shows_its_public_key_alone(self, keys):
        pair = keys[0]
        assert len(pair.public) == len(pair.secret) == 40 and pair.public != pair.secret
        assert pair.secret not in repr(pair) + str(pair) and pair.public in repr(pair)
        assert curve.KeyPair(pair.secret).public == curve.KeyPair(pair.secret.encode(), pair.public).public == pair.public
        with pytest.raises(TypeError, match="pickle"):
            __import__("pickle").dumps(pair)

    def test_what_is_not_a_key_says_why_and_does_not_show_it(self, keys):
        for wrong in ("s3cret", "~" * 40, b"s3cret", b"\xff" * 40):
            with pytest.raises(oncue.MisuseError, match="secret: ") as raised:
                curve.KeyPair(wrong)
            assert "s3cret" not in str(raised.value)
        with pytest.raises(TypeError, match="not int"):
            curve.KeyPair(5)
        with pytest.raises(oncue.MisuseError, match="not that of the secret key"):
            curve.KeyPair(keys[0].secret, keys[1].public)

    def test_certificates_are_written_once_and_the_secret_is_for_its_owner(self, tmp_path, keys):
        certificate = curve.Certificate(keys[0], {"role": "desk"})
        public, secret = certificate.save(tmp_path, "ann")
        assert (public, secret) == (str(tmp_path / "ann.key"), str(tmp_path / "ann.key_secret"))
        assert stat.S_IMODE(pathlib.Path(secret).stat().st_mode) == 0o600
        read = curve.Certificate.read(secret)
        assert (read.public, read.keys.secret, read.metadata) == (keys[0].public, keys[0].secret, {"role": "desk"})
        assert curve.Certificate.read(public).keys is None
        assert keys[0].secret not in repr(read) + pathlib.Path(public).read_text()
        with pytest.raises(oncue.MisuseError, match="exists"):
            certificate.save(tmp_path, "ann")
        with pytest.raises(oncue.MisuseError, match="name of a file"):
            certificate.save(tmp_path, "../ann")
        with pytest.raises(oncue.IoError, match="cannot be read"):
            curve.Certificate.read(tmp_path / "bob.key")
        assert curve.Certificate(keys[0].public).save(tmp_path, "public") == [str(tmp_path / "public.key")]

    def test_certificates_are_those_of_pyzmq(self, tmp_path):
        auth = pytest.importorskip("zmq.auth")
        auth.create_certificates(tmp_path, "ann", {"role": "desk"})
        read = curve.Certificate.read(tmp_path / "ann.key_secret")
        assert auth.load_certificate(tmp_path / "ann.key_secret") == (read.public.encode(), read.keys.secret.encode())
        public, secret = curve.Certificate(read.keys).save(tmp_path, "again")
        assert auth.load_certificate(secret)[1] == read.keys.secret.encode()
        assert auth.load_certificate(public) == (read.public.encode(), None)


class TestCurve:
    @pytest.mark.parametrize("kinds", [(oncue.XPub, oncue.Sub), (oncue.Pub, oncue.XSub)])
    def test_one_that_is_known_is_served_and_is_a_user(self, keys, kinds):
        server, ann = keys
        security = oncue.CurveServer(server, clients={ann.public: oncue.User("ann", attributes={"role": "desk"})})
        with kinds[0](security=security) as pub, kinds[1](security=oncue.CurveClient(ann, server.public)) as sub:
            assert arrives(pub, sub)
            user = pub.peers()[0].peer.user
            assert user == oncue.User("ann", ann.public, {"role": "desk"})
            assert sub.peers()[0].peer.user is None

    def test_the_subscriber_may_be_the_server(self, keys):
        server, ann = keys
        with oncue.XPub(security=oncue.CurveClient(ann, server)) as pub:
            with oncue.Sub(security=oncue.CurveServer(server, clients={ann.public: "ann"})) as sub:
                assert arrives(pub, sub)
                assert sub.peers()[0].peer.user.id == "ann"

    def test_one_that_is_not_known_is_refused(self, keys):
        server, eve = keys
        with oncue.XPub(security=oncue.CurveServer(server, clients={server.public: "other"})) as pub:
            with oncue.Sub(security=oncue.CurveClient(eve, server.public)) as sub:
                assert eve.public in refused(pub, sub)

    def test_one_without_curve_or_with_the_key_of_another_server_is_refused(self, keys):
        server, ann = keys
        for options in ({}, {"security": oncue.CurveClient(ann, ann.public)}, {"security": oncue.PlainClient("a", "b")}):
            with oncue.XPub(security=oncue.CurveServer(server, clients="any")) as pub, oncue.Sub(**options) as sub:
                assert refused(pub, sub)

    def test_any_client_is_a_user_by_its_key(self, keys):
        server, ann = keys
        with oncue.XPub(security=oncue.CurveServer(server, clients="any")) as pub:
            with oncue.Sub(security=oncue.CurveClient(ann, server)) as sub:
                assert arrives(pub, sub)
                assert pub.peers()[0].peer.user.id == ann.public

    def test_a_folder_is_read_again_and_reconsider_ends_who_is_gone(self, tmp_path, keys):
        server, ann = keys
        clients = tmp_path / "clients"
        clients.mkdir()
        curve.Certificate(server).save(tmp_path, "server")
        curve.Certificate(ann.public, {"role": "desk"}).save(clients, "ann")
        changes = []

        def changed(what):
            changes.append(what)
            pub.reconsider()

        security = oncue.CurveServer(tmp_path / "server.key_secret", clients=str(clients), on_change=changed)
        pub = oncue.XPub(security=security)
        with pub, oncue.Sub(security=oncue.CurveClient(ann, tmp_path / "server.key")) as sub:
            assert arrives(pub, sub)
            assert pub.peers()[0].peer.user == oncue.User("ann", ann.public, {"role": "desk"})
            (clients / "ann.key").unlink()
            until(lambda: not pub.peers())
            assert changes[0] == oncue.UsersChanged([], ["ann"], [])

    def test_routes_can_be_encrypted_and_admit_knows_the_user(self, keys):
        server, ann = keys
        asked = []

        def admit(request):
            asked.append(request)
            return request.user is not None and request.user.id == "ann"

        on = oncue.OnDemand(
            "tcp://127.0.0.1:0", security=oncue.CurveServer(server, clients={ann.public: "ann"})
        )
        on.every("t", seconds=1, admit=admit)(lambda: b"1")
        with on, oncue.Sub(security=oncue.CurveClient(ann, server.public)) as sub:
            sub.connect(on.endpoint)
            sub.subscribe("t")
            assert sub.recv(LIMIT) == (b"t", b"1")
            assert not asked[0].in_force and asked[0].user == oncue.User("ann", ann.public)

    def test_reconsider_asks_admit_again_and_ends_what_it_refuses(self):
        is_open, asked = True, []

        def admit(request):
            asked.append(request.in_force)
            return is_open or "closed now"

        on = oncue.OnDemand("tcp://127.0.0.1:0")
        on.every("t", seconds=1, admit=admit)(lambda: b"1")
        with on, oncue.Sub() as sub:
            sub.connect(on.endpoint)
            sub.subscribe("t")
            assert sub.recv(LIMIT) == (b"t", b"1")
            is_open = False
            on.xpub().reconsider()
            until(lambda: on.xpub().subscribers("t") == 0)
        assert asked == [False, True]

    def test_pyzmq_as_the_client(self, keys):
        zmq = pytest.importorskip("zmq")
        server, ann = keys
        with oncue.XPub(security=oncue.CurveServer(server, clients={ann.public: "ann"})) as pub, zmq.Context() as context:
            with context.socket(zmq.SUB) as sub:
                sub.curve_serverkey, sub.curve_publickey = server.public.encode(), ann.public.encode()
                sub.curve_secretkey = ann.secret.encode()
                sub.subscribe("t")
                sub.connect(pub.bind("tcp://127.0.0.1:0"))
                assert pub.event(LIMIT) == oncue.Wanted(b"t")
                pub.send("t", "1")
                assert sub.poll(LIMIT * 1000) and sub.recv_multipart() == [b"t", b"1"]

    def test_what_cannot_be_right_is_told_at_once(self, tmp_path, keys):
        server, ann = keys
        curve.Certificate(server).save(tmp_path, "server")
        with pytest.raises(oncue.MisuseError, match="no secret key"):
            oncue.CurveServer(tmp_path / "server.key", clients="any")
        with pytest.raises(TypeError, match="clients must be"):
            oncue.CurveServer(server, clients=5)
        with pytest.raises(TypeError, match="keys must be"):
            oncue.CurveServer(5, clients="any")
        with pytest.raises(TypeError, match="clients"):
            oncue.CurveServer(server)
        with pytest.raises(oncue.IoError, match="nowhere"):
            oncue.CurveServer(server, clients=tmp_path / "nowhere")
        with pytest.raises(oncue.MisuseError, match="on_change"):
            oncue.CurveServer(server, clients="any", on_change=print)
        with pytest.raises(TypeError, match="a user must be"):
            oncue.CurveServer(server, clients={ann.public: 5})
        with pytest.raises(TypeError, match="security must be") as raised:
            oncue.Pub(security=ann.secret)
        assert ann.secret not in str(raised.value)
        assert oncue.Pub(security=None).close() == 0


class TestPlain:
    def test_a_file_of_passwords(self, tmp_path):
        users = tmp_path / "users"
        users.write_text(f"ann:{oncue.hash_password('s3cret')}\n")
        security = oncue.PlainServer(users=users)
        with oncue.XPub(security=security) as pub, oncue.Sub(security=oncue.PlainClient("ann", "s3cret")) as sub:
            assert arrives(pub, sub)
            assert pub.peers()[0].peer.user == oncue.User("ann")
        with oncue.XPub(security=security) as pub, oncue.Sub(security=oncue.PlainClient("ann", b"other")) as sub:
            assert "password" in refused(pub, sub)

    def test_a_password_is_in_no_text(self):
        client = oncue.PlainClient("ann", "s3cret")
        assert "s3cret" not in repr(client) and "ann" in repr(client)
        assert "s3cret" not in repr(oncue.ClientRequest("a", "PLAIN", user="ann", password=b"s3cret"))
        for wrong in ("s3cret" * 50, b"s3cret" * 50):
            for call in (oncue.hash_password, lambda password: oncue.PlainClient("ann", password)):
                with pytest.raises(oncue.MisuseError, match="255 bytes") as raised:
                    call(wrong)
                assert "s3cret" not in str(raised.value)
        with pytest.raises(TypeError):
            oncue.PlainClient("ann", None)


class TestFunctions:
    def test_a_function_gets_what_a_client_says_and_names_the_user(self):
        asked = []

        def users(request):
            asked.append(request)
            return oncue.User("ann@desk", attributes={"role": "desk"}) if request.password == b"\xff" else False

        with oncue.XPub(security=oncue.PlainServer(users=users)) as pub:
            with oncue.Sub(security=oncue.PlainClient(b"\xfe", b"\xff")) as sub:
                assert arrives(pub, sub)
                assert pub.peers()[0].peer.user == oncue.User("ann@desk", attributes={"role": "desk"})
        request = asked[0]
        assert request.address.startswith("127.0.0.1:") or "127.0.0.1" in request.address
        assert (request.mechanism, request.key, request.user, request.password) == ("PLAIN", None, "\udcfe", b"\xff")

    @pytest.mark.parametrize("answer, text", [(False, "not let in"), ("go away", "go away"), (None, "not decide"), (7, "not decide")])
    def test_all_else_than_true_and_a_user_refuses(self, keys, answer, text):
        server, ann = keys
        with oncue.XPub(security=oncue.CurveServer(server, clients=lambda request: answer)) as pub:
            with oncue.Sub(security=oncue.CurveClient(ann, server)) as sub:
                assert text in refused(pub, sub)

    def test_what_a_function_raises_refuses_and_is_logged(self, keys, caplog):
        server, ann = keys

        def clients(request):
            raise RuntimeError("no database")

        with oncue.XPub(security=oncue.CurveServer(server, clients=clients)) as pub:
            with oncue.Sub(security=oncue.CurveClient(ann, server)) as sub:
                refused(pub, sub)
        assert any("no database" in str(record.exc_info[1]) for record in caplog.records if record.exc_info)

    def test_true_lets_in_by_the_key(self, keys):
        server, ann = keys
        with oncue.XPub(security=oncue.CurveServer(server, clients=lambda request: request.key == ann.public)) as pub:
            with oncue.Sub(security=oncue.CurveClient(ann, server)) as sub:
                assert arrives(pub, sub)
                assert pub.peers()[0].peer.user.id == ann.public

    def test_a_coroutine_is_refused_at_once(self, keys):
        async def clients(request):
            return True

        with pytest.raises(oncue.MisuseError, match="coroutine"):
            oncue.CurveServer(keys[0], clients=clients)

    def test_one_that_waits_holds_up_nobody_but_its_clients(self, keys):
        server, ann = keys
        go, waits = threading.Event(), threading.Event()

        def clients(request):
            waits.set()
            return go.wait(LIMIT)

        engine = oncue.Engine(io_threads=1)
        with oncue.XPub(engine=engine, security=oncue.CurveServer(server, clients=clients)) as pub:
            with oncue.Sub(engine=engine, security=oncue.CurveClient(ann, server)) as sub:
                sub.connect(pub.bind("tcp://127.0.0.1:0"))
                sub.subscribe("")
                assert waits.wait(LIMIT)
                # Over the same I/O thread.
                with oncue.XPub(engine=engine) as other, oncue.Sub(engine=engine) as reader:
                    assert arrives(other, reader)
                assert not pub.peers()
                go.set()
                assert pub.event(LIMIT) == oncue.Wanted(b"")

    def test_more_than_64_that_wait_are_refused(self, keys):
        server, ann = keys
        go = threading.Event()
        with oncue.XPub(security=oncue.CurveServer(server, clients=lambda request: go.wait(LIMIT))) as pub:
            endpoint = pub.bind("tcp://127.0.0.1:0")
            subs = [oncue.Sub(security=oncue.CurveClient(ann, server)) for _ in range(70)]
            for sub in subs:
                sub.connect(endpoint)
            assert "too many" in until(pub.refused)[-1].text
            go.set()
            for sub in subs:
                sub.close()

    def test_its_thread_ends_with_the_last_socket(self, keys):
        def threads():
            tasks = pathlib.Path("/proc/self/task").glob("*/comm")
            return sum(each.read_text() == "oncue clients\n" for each in tasks)

        until(lambda: threads() == 0)
        pub = oncue.XPub(security=oncue.CurveServer(keys[0], clients=lambda request: True))
        # It names itself.
        until(lambda: threads() == 1)
        pub.close()
        del pub
        until(lambda: threads() == 0)
