"""A WHEP viewer made of aiortc. Prints one JSON line with what it decoded until it had so much, or for 45 s.

usage: aiortc_whep.py URL TOKEN FRAMES SOUNDS

{"state": .., "audio": frames, "video": frames, "energy": mean square of the sound, "colour": [r, g, b]}
The colour is the middle of the last picture.
"""
import asyncio
import json
import sys
import urllib.parse
import urllib.request

import numpy
from aiortc import RTCPeerConnection, RTCSessionDescription
from aiortc.mediastreams import MediaStreamError

PATIENCE = 45


def request(method, url, token, body=None):
    headers = {"Authorization": f"Bearer {token}"}
    if body is not None:
        headers["Content-Type"] = "application/sdp"
    call = urllib.request.Request(url, body, headers, method=method)
    with urllib.request.urlopen(call, timeout=15) as answer:
        return answer.status, answer.headers, answer.read().decode()


async def watch(url, token, frames, sounds):
    peer = RTCPeerConnection()
    seen = {"audio": 0, "video": 0, "energy": 0.0, "colour": None}
    readers = []

    async def read(track):
        while True:
            try:
                frame = await track.recv()
            except MediaStreamError:
                return
            seen[track.kind] += 1
            if track.kind == "audio":
                samples = frame.to_ndarray().astype(numpy.float64) / 32768
                seen["energy"] += float(numpy.mean(samples**2))
            else:
                picture = frame.to_ndarray(format="rgb24")
                height, width, _ = picture.shape
                seen["colour"] = [int(c) for c in picture[height // 2, width // 2]]

    peer.on("track", lambda track: readers.append(asyncio.ensure_future(read(track))))
    peer.addTransceiver("audio", direction="recvonly")
    peer.addTransceiver("video", direction="recvonly")
    await peer.setLocalDescription(await peer.createOffer())
    loop = asyncio.get_running_loop()
    offer = peer.localDescription.sdp.encode()
    status, headers, answer = await loop.run_in_executor(None, request, "POST", url, token, offer)
    assert status == 201, status
    await peer.setRemoteDescription(RTCSessionDescription(answer, "answer"))
    end = loop.time() + PATIENCE
    while (seen["video"] < frames or seen["audio"] < sounds) and loop.time() < end:
        await asyncio.sleep(0.1)
    state = peer.connectionState
    seen["energy"] /= max(1, seen["audio"])
    location = urllib.parse.urljoin(url, headers["Location"])
    await loop.run_in_executor(None, request, "DELETE", location, token)
    await peer.close()
    print(json.dumps({"state": state, **seen}))


if __name__ == "__main__":
    asyncio.run(watch(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])))
