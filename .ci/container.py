"""A container engine for `sam local invoke`, without pulling an image.

Unpacks Debian's container engine and starts it with its own bridge and without packet filters, so that it changes nothing
on the machine after it ends. Builds the base image from this machine's files: a shell, the loader, the libraries that the
function links, and the certificates.
"""

import contextlib
import glob
import io
import os
import pathlib
import platform
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time

import docker

BRIDGE, GATEWAY = "per-user-db0", "172.30.254.1"
ARCHITECTURE = {"x86_64": "x86_64", "aarch64": "arm64"}[platform.machine()]
IMAGE, TAG = "public.ecr.aws/lambda/provided", f"al2023-{ARCHITECTURE}"


class NoEngine(Exception):
    """The reason why no container can run on this machine."""


def quietly(*command, **options):
    """Runs a command. Its failure is a NoEngine."""
    try:
        return subprocess.run(command, check=True, capture_output=True, text=True, timeout=300, **options).stdout
    except FileNotFoundError as error:
        raise NoEngine(f"there is no {error.filename}") from error
    except subprocess.CalledProcessError as error:
        raise NoEngine(f"{' '.join(command)}: {error.stderr.strip().splitlines()[-1:]}") from error
    except subprocess.TimeoutExpired as error:
        raise NoEngine(f"{' '.join(command)} takes too long") from error


def unpack(directory):
    """Unpacks the engine and its dependencies into `directory`, without installing them."""
    packages = directory / "packages"
    (packages / "partial").mkdir(parents=True, exist_ok=True)
    if not glob.glob(f"{packages}/docker.io_*.deb"):
        quietly("apt-get", "update", "-qq")
        quietly("apt-get", "install", "-qq", "-y", "--download-only", "--reinstall", "--no-install-recommends",
                "-o", f"Dir::Cache::archives={packages}", "docker.io", "containerd", "runc", "busybox-static")
    root = directory / "root"
    for package in packages.glob("*.deb"):
        quietly("dpkg", "-x", str(package), str(root))
    places = [root / "usr/bin", root / "usr/sbin", root / "bin", root / "sbin"]
    os.environ["PATH"] = ":".join([*map(str, places), os.environ["PATH"]])
    libraries = {os.path.dirname(path) for path in glob.glob(f"{root}/**/lib*.so.*", recursive=True)}
    # Without directories that hold a C library: a newer one does not work with this machine's loader.
    libraries = [path for path in libraries if not glob.glob(f"{path}/libc.so.6")]
    if libraries:
        os.environ["LD_LIBRARY_PATH"] = ":".join(libraries)
    return root


@contextlib.contextmanager
def bridge(busybox):
    """A network bridge between the containers and this machine."""
    quietly(busybox, "ip", "link", "add", BRIDGE, "type", "bridge")
    try:
        quietly(busybox, "ip", "addr", "add", f"{GATEWAY}/24", "dev", BRIDGE)
        quietly(busybox, "ip", "link", "set", BRIDGE, "up")
        yield
    finally:
        subprocess.run([busybox, "ip", "link", "del", BRIDGE], check=False)


@contextlib.contextmanager
def engine(directory):
    """A client of an engine, which ends with the block."""
    # The path of a socket has a small limit of length, so the directory is a short one.
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as home, open(directory / "dockerd.log", "wb") as log:
        url = f"unix://{home}/socket"
        process = subprocess.Popen(
            ["dockerd", "--host", url, "--data-root", f"{home}/data", "--exec-root", f"{home}/run", "--pidfile", f"{home}/pid",
             "--bridge", BRIDGE, "--iptables=false", "--ip6tables=false", "--ip-forward=false", "--ip-masq=false",
             # Slow, but the only storage driver that needs no support of the kernel; the images are small.
             "--storage-driver", "vfs"], stdout=log, stderr=log)
        try:
            os.environ["DOCKER_HOST"] = url
            end = time.monotonic() + 60
            while True:
                try:
                    client = docker.DockerClient(base_url=url, timeout=60)
                    client.ping()
                    break
                except (docker.errors.DockerException, OSError) as error:
                    if process.poll() is not None or time.monotonic() > end:
                        lines = (directory / "dockerd.log").read_text(errors="replace").strip().splitlines()
                        raise NoEngine(f"dockerd does not start: {lines[-1:]}") from error
                    time.sleep(0.2)
            yield client
        finally:
            process.terminate()
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()


def base_image(client, busybox, bootstrap):
    """Creates the base image for sam's own image, and runs a container of it."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as image:
        image.add(busybox, "bin/busybox")
        for name in ("sh", "mv", "chmod"):
            link = tarfile.TarInfo(f"bin/{name}")
            link.type, link.linkname = tarfile.SYMTYPE, "busybox"
            image.addfile(link)
        linked = subprocess.run(["ldd", bootstrap], check=True, capture_output=True, text=True,
                                env={**os.environ, "LD_LIBRARY_PATH": ""}).stdout
        for library in {word for word in linked.split() if word.startswith("/")}:
            image.add(os.path.realpath(library), library.lstrip("/"))
        for certificates in glob.glob("/etc/ssl/certs/ca-certificates.crt"):
            image.add(os.path.realpath(certificates), certificates.lstrip("/"))
        # host.docker.internal is in the container's /etc/hosts only.
        hosts = b"hosts: files\n"
        entry = tarfile.TarInfo("etc/nsswitch.conf")
        entry.size = len(hosts)
        image.addfile(entry, io.BytesIO(hosts))
        for name in ("tmp", "var/task", "var/runtime", "opt"):
            entry = tarfile.TarInfo(name)
            entry.type, entry.mode = tarfile.DIRTYPE, 0o1777
            image.addfile(entry)
    changes = ["ENV PATH=/bin LAMBDA_TASK_ROOT=/var/task LAMBDA_RUNTIME_DIR=/var/runtime", "WORKDIR /var/task"]
    try:
        client.api.import_image_from_data(buffer.getvalue(), repository=IMAGE, tag=TAG, changes=changes)
        client.containers.run(f"{IMAGE}:{TAG}", ["/bin/busybox", "true"], remove=True)
    except docker.errors.DockerException as error:
        raise NoEngine(f"a container does not run: {error}") from error


@contextlib.contextmanager
def ready(directory, bootstrap):
    """An engine that `sam` and `docker` find by the environment, with sam's base image for this package.

    Raises NoEngine where none can run.
    """
    directory.mkdir(parents=True, exist_ok=True)
    if os.geteuid() != 0:
        raise NoEngine("only root may start one")
    before = dict(os.environ)
    try:
        root = unpack(directory)
        busybox = shutil.which("busybox", path=f"{root}/bin:{root}/usr/bin") or shutil.which("busybox")
        with bridge(busybox), engine(directory) as client:
            base_image(client, busybox, bootstrap)
            print(f"engine {client.version()['Version']}, base image made here", flush=True)
            # sam must not look for a newer base image.
            os.environ["SAM_SKIP_PULL_IMAGE"] = "true"
            yield
    finally:
        os.environ.clear()
        os.environ.update(before)
