"""The page of ``hands.convert --review``: what a browser makes of it, against the package's kinematics and patches."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from html import unescape
from pathlib import Path

import numpy as np
import pytest

from warpgrasp.geometry.rotations import IDENTITY_QUATERNION
from warpgrasp.hands import load_hand
from warpgrasp.hands.convert import ConvertConfig, convert_hand
from warpgrasp.hands.convert.__main__ import main
from warpgrasp.hands.convert.annotation_file import read_annotation_file
from warpgrasp.hands.export.urdf import write_urdf

BROWSER = shutil.which("chromium") or shutil.which("google-chrome") or shutil.which("chrome")
PROBE = """
<script>
(() => {
  const review = window.warpgraspReview, data = JSON.parse(document.getElementById("data").textContent);
  review.setPose(POSE);
  const area = (patch) => {
    const link = review.links[data.links.findIndex((entry) => entry.name === patch.link)];
    const p = link.mesh.geometry.attributes.position, v = () => new THREE.Vector3();
    return review.facesOf(patch).reduce((sum, face) => {
      const [a, b, c] = [0, 1, 2].map((k) => v().fromBufferAttribute(p, 3 * face + k));
      return sum + 0.5 * b.sub(a).cross(c.sub(a)).length();
    }, 0);
  };
  const found = {
    position: review.links.map((link) => link.group.position.toArray()),
    quaternion: review.links.map((link) => link.group.quaternion.toArray()),
    area: Object.fromEntries(review.annotation.patches.map((patch) => [patch.name, area(patch)])),
    text: review.fileText(),
  };
  const node = document.createElement("pre");
  node.id = "probe";
  node.textContent = JSON.stringify(found);
  document.body.append(node);
})();
</script>
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The exported 2F-140 and what its conversion writes: six of its joints follow one."""
    folder = tmp_path_factory.mktemp("review")
    source = write_urdf(load_hand("robotiq_2f140"), folder)
    assert main([str(source), "-o", str(folder / "hand"), "--review", "--no-picture"]) == 0
    return folder


def test_page_is_complete_and_fetches_nothing(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = (folder / "hand" / "review.html").read_text(encoding="utf-8")
    assert "default-src 'none'" in page
    assert not re.search(r'(?:src|href)="', page.split("<script")[0])
    data = json.loads(page.split('id="data">')[1].split("</script>")[0])
    hand = load_hand(folder / "hand" / "hand.usda")
    assert len(data["links"]) == hand.link_count
    assert [joint["name"] for joint in data["joints"]] == list(hand.joint_names)
    assert data["guesses"]
    assert not list((folder / "hand").glob("*.png"))


@pytest.mark.slow
@pytest.mark.skipif(BROWSER is None, reason="no Chromium on this machine")
def test_a_browser_moves_links_draws_patches_and_saves_as_the_package_does(
    folder: Path, tmp_path: Path
) -> None:
    hand = load_hand(folder / "hand" / "hand.usda")
    joints = 0.3 * hand.dof_lower + 0.7 * hand.dof_upper
    probe = PROBE.replace("POSE", json.dumps(joints.tolist()))
    page = (folder / "hand" / "review.html").read_text(encoding="utf-8").replace("</body>", probe + "</body>")
    path = tmp_path / "page.html"
    path.write_text(page, encoding="utf-8")
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--use-gl=angle", "--use-angle=swiftshader"]
    flags += ["--enable-unsafe-swiftshader", "--no-first-run", "--virtual-time-budget=20000", "--dump-dom"]
    flags += ["--host-resolver-rules=MAP * ~NOTFOUND", f"--user-data-dir={tmp_path / 'user'}"]
    done = subprocess.run(
        [str(BROWSER), *flags, path.as_uri()], capture_output=True, text=True, timeout=120, check=False
    )
    match = re.search(r'<pre id="probe">(.*?)</pre>', done.stdout, flags=re.DOTALL)
    assert match is not None, done.stderr[-2000:]
    assert 'data-state="ready"' in done.stdout
    found = json.loads(unescape(match.group(1)))
    position, quaternion = hand.forward_kinematics(np.zeros(3), IDENTITY_QUATERNION, joints)
    np.testing.assert_allclose(found["position"], position, atol=1e-6)
    same = np.abs(np.sum(np.asarray(found["quaternion"]) * quaternion, axis=1))
    np.testing.assert_allclose(same, 1.0, atol=1e-6)
    for patch in hand.patches:
        corner = patch.vertices[patch.faces]
        area = (
            np.linalg.norm(np.cross(corner[:, 1] - corner[:, 0], corner[:, 2] - corner[:, 0]), axis=1).sum()
            / 2.0
        )
        # Patches are drawn in by a fiftieth where fans of triangles meet.
        assert found["area"][patch.name] == pytest.approx(area, rel=0.02)
    saved = tmp_path / "annotation.yaml"
    saved.write_text(found["text"], encoding="utf-8")
    kept = read_annotation_file(folder / "hand" / "annotation.yaml")
    read = read_annotation_file(saved)
    assert {name: read[name] for name in kept if name != "patches"} == {
        name: value for name, value in kept.items() if name != "patches"
    }
    again = tmp_path / "hand"
    again.mkdir()
    shutil.copy(saved, again / "annotation.yaml")
    result = convert_hand(folder / "robotiq_2f140.urdf", again, ConvertConfig(picture=False))
    assert [patch.name for patch in result.hand.patches] == [patch.name for patch in hand.patches]
    assert not result.guesses
