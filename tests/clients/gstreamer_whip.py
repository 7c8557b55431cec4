#!/usr/bin/python3
"""A WHIP publisher made of GStreamer's webrtcbin, of Debian's packages only.

usage: gstreamer_whip.py URL TOKEN [vp8|h264]

Shows a plain picture of blue with a moving ball and plays a tone until SIGINT; then it deletes its resource.
Must run with Debian's own Python, which has the bindings.

GStreamer makes RSA certificates by itself; the server's DTLS takes ECDSA ones only, as browsers have them.
So one is made with openssl, given to the transport, and named in the offer.
"""
import base64
import hashlib
import re
import signal
import subprocess
import sys
import urllib.parse
import urllib.request

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstWebRTC", "1.0")
gi.require_version("GstSdp", "1.0")
from gi.repository import GLib, Gst, GstSdp, GstWebRTC  # noqa: E402

ENCODERS = {
    "vp8": "vp8enc deadline=1 keyframe-max-dist=60 target-bitrate=600000"
    " ! rtpvp8pay pt=96 picture-id-mode=15-bit"
    " ! application/x-rtp,media=video,encoding-name=VP8,payload=96",
    "h264": "x264enc tune=zerolatency speed-preset=ultrafast key-int-max=60 bitrate=600"
    " ! video/x-h264,profile=constrained-baseline"
    " ! rtph264pay pt=96 config-interval=-1 aggregate-mode=zero-latency"
    " ! application/x-rtp,media=video,encoding-name=H264,payload=96",
}


def certificate():
    """A self-signed certificate on P-256 with its key, as PEM."""
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=test"
    made = subprocess.run(f"{command} -keyout - -out -".split(), check=True, capture_output=True)
    return made.stdout.decode()


def fingerprint(pem):
    body = re.search("-BEGIN CERTIFICATE-----(.*)-----END CERTIFICATE-", pem, re.DOTALL).group(1)
    return "sha-256 " + hashlib.sha256(base64.b64decode(body)).digest().hex(":").upper()


class Publisher:
    def __init__(self, url, token, codec):
        self.url, self.token, self.location = url, token, None
        self.loop = GLib.MainLoop()
        self.pipeline = Gst.parse_launch(
            "webrtcbin name=w bundle-policy=max-bundle"
            " videotestsrc is-live=true pattern=ball background-color=0xff1e3cdc"
            " ! video/x-raw,width=640,height=360,framerate=30/1 ! videoconvert"
            f" ! {ENCODERS[codec]} ! w."
            " audiotestsrc is-live=true freq=440 ! audioconvert ! audioresample ! opusenc ! rtpopuspay pt=111"
            " ! application/x-rtp,media=audio,encoding-name=OPUS,payload=111 ! w."
        )
        self.peer = self.pipeline.get_by_name("w")
        for index in range(2):
            transceiver = self.peer.emit("get-transceiver", index)
            transceiver.set_property("direction", GstWebRTC.WebRTCRTPTransceiverDirection.SENDONLY)
        self.pem = certificate()
        self.peer.connect("on-negotiation-needed", self.offer)
        self.peer.connect("notify::ice-gathering-state", self.gathered)
        self.peer.connect("notify::connection-state", self.connection_changed)

    def offer(self, peer):
        promise = Gst.Promise.new_with_change_func(self.offered, None)
        peer.emit("create-offer", Gst.Structure.new_empty("options"), promise)

    def offered(self, promise, _):
        promise.wait()
        reply = promise.get_reply()  # owns the offer: it must outlive the next call
        transport = self.peer.emit("get-transceiver", 0).get_property("sender").get_property("transport")
        transport.set_property("certificate", self.pem)
        # GStreamer 1.22 listens to the connection that it makes of it only from the start of its decoder on.
        elements = self.peer.iterate_recurse()
        while (found := elements.next())[0] == Gst.IteratorResult.OK:
            if found[1].get_name().startswith("dtlsdec"):
                found[1].set_state(Gst.State.NULL)
                found[1].sync_state_with_parent()
        self.peer.emit("set-local-description", reply.get_value("offer"), Gst.Promise.new())

    def gathered(self, peer, _):
        complete = GstWebRTC.WebRTCICEGatheringState.COMPLETE
        if self.location or peer.get_property("ice-gathering-state") != complete:
            return
        offer = peer.get_property("local-description").sdp.as_text()
        offer = re.sub("a=fingerprint:.*", f"a=fingerprint:{fingerprint(self.pem)}", offer)
        answer = self.request("POST", self.url, offer.encode())
        self.location = answer.headers["Location"]
        _, message = GstSdp.SDPMessage.new_from_text(answer.read().decode())
        description = GstWebRTC.WebRTCSessionDescription.new(GstWebRTC.WebRTCSDPType.ANSWER, message)
        peer.emit("set-remote-description", description, Gst.Promise.new())

    def connection_changed(self, peer, _):
        print("state", peer.get_property("connection-state").value_nick, flush=True)

    def request(self, method, url, body=None):
        headers = {"Authorization": f"Bearer {self.token}"}
        if body is not None:
            headers["Content-Type"] = "application/sdp"
        return urllib.request.urlopen(urllib.request.Request(url, body, headers, method=method), timeout=15)

    def run(self):
        self.pipeline.set_state(Gst.State.PLAYING)
        GLib.unix_signal_add(GLib.PRIORITY_DEFAULT, signal.SIGINT, self.loop.quit)
        self.loop.run()
        if not self.location:
            sys.exit("the server was never asked")
        self.request("DELETE", urllib.parse.urljoin(self.url, self.location))
        print("deleted", flush=True)
        self.pipeline.set_state(Gst.State.NULL)


if __name__ == "__main__":
    Gst.init(None)
    Publisher(sys.argv[1], sys.argv[2], (sys.argv + ["vp8"])[3]).run()
