"use strict";
// Moves the joints of a hand, draws its contact patches by the rule of the annotation file, and saves the changed file.
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const annotation = data.annotation;
  const stage = document.querySelector(".stage");
  const info = stage.querySelector(".info");
  const pose = data.joints.map((joint) => annotation.joints[joint.name].opening);
  const number = Object.fromEntries(data.links.map((link, index) => [link.name, index]));
  const grey = new THREE.Color(0.16, 0.17, 0.19);
  let clicked = 0;

  function element(tag, properties = {}, ...children) {
    const node = document.createElement(tag);
    Object.assign(node, properties);
    node.append(...children);
    return node;
  }

  function changed(text) {
    document.getElementById("state").textContent = `Not saved yet: ${text}.`;
    window.onbeforeunload = () => true;
  }

  // ------------------------------------------------------------------------------------------------ geometry

  function floats(text) {
    const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
    return new Float32Array(bytes.buffer);
  }

  const world = new THREE.Scene();
  world.background = new THREE.Color(0xf6f6f4);
  world.add(new THREE.HemisphereLight(0xffffff, 0xb8b4ae, 1.7));
  const links = data.links.map((link) => {
    const corners = floats(link.corners);
    const count = corners.length / 9;
    const center = new Float32Array(3 * count), normal = new Float32Array(3 * count);
    const [a, b, c] = [new THREE.Vector3(), new THREE.Vector3(), new THREE.Vector3()];
    for (let face = 0; face < count; face++) {
      a.fromArray(corners, 9 * face); b.fromArray(corners, 9 * face + 3); c.fromArray(corners, 9 * face + 6);
      a.clone().add(b).add(c).divideScalar(3).toArray(center, 3 * face);
      b.sub(a).cross(c.sub(a)).normalize().toArray(normal, 3 * face);
    }
    const geometry = new THREE.BufferGeometry();
    geometry.setAttribute("position", new THREE.BufferAttribute(corners, 3));
    geometry.setAttribute("color", new THREE.BufferAttribute(new Float32Array(corners.length), 3));
    geometry.computeVertexNormals();
    const mesh = new THREE.Mesh(geometry, new THREE.MeshStandardMaterial({ vertexColors: true, roughness: 0.6 }));
    const group = new THREE.Group();
    group.add(mesh);
    world.add(group);
    return { group, mesh, count, center, normal };
  });

  function moveLinks() {
    data.links.forEach((link, index) => {
      if (link.parent < 0) return;
      const group = links[index].group, above = links[link.parent].group;
      const position = new THREE.Vector3().fromArray(link.parent_position);
      const turn = new THREE.Quaternion().fromArray(link.parent_quaternion);
      const axis = new THREE.Vector3().fromArray(link.axis);
      const value = link.dof < 0 ? 0 : link.multiplier * pose[link.dof] + link.offset;
      if (link.kind === "prismatic") position.add(axis.clone().multiplyScalar(value).applyQuaternion(turn));
      if (link.kind === "revolute") turn.multiply(new THREE.Quaternion().setFromAxisAngle(axis, value));
      // Back from the joint to the origin of the link.
      turn.multiply(new THREE.Quaternion().fromArray(link.child_quaternion).invert());
      position.sub(new THREE.Vector3().fromArray(link.child_position).applyQuaternion(turn));
      group.position.copy(position).applyQuaternion(above.quaternion).add(above.position);
      group.quaternion.copy(above.quaternion).multiply(turn);
    });
    draw();
  }

  function finger(patch) {
    if (patch.finger) return patch.finger;
    const entry = Object.entries(annotation.fingers).find(([, names]) => names.includes(patch.link));
    return entry ? entry[0] : "";
  }

  function facesOf(patch) {
    const link = links[number[patch.link]];
    const direction = new THREE.Vector3().fromArray(patch.direction).normalize();
    const least = Math.cos((patch.angle_deg * Math.PI) / 180);
    const chosen = [];
    for (let face = 0; face < link.count; face++) {
      const n = link.normal, p = link.center, i = 3 * face;
      if (n[i] * direction.x + n[i + 1] * direction.y + n[i + 2] * direction.z < least) continue;
      const inside = [0, 1, 2].every((k) =>
        (!patch.lower || p[i + k] >= patch.lower[k]) && (!patch.upper || p[i + k] <= patch.upper[k]));
      if (inside) chosen.push(face);
    }
    return chosen;
  }

  function paint() {
    for (const link of links) {
      const color = link.mesh.geometry.attributes.color;
      for (let i = 0; i < color.count; i++) color.setXYZ(i, grey.r, grey.g, grey.b);
    }
    annotation.patches.forEach((patch, index) => {
      const link = links[number[patch.link]], color = link.mesh.geometry.attributes.color;
      const rgb = data.colors[finger(patch)] || [200, 200, 200];
      const [r, g, b] = rgb.map((value) => Math.pow(value / 255, 2.2));
      const faces = facesOf(patch);
      for (const face of faces) for (let k = 0; k < 3; k++) color.setXYZ(3 * face + k, r, g, b);
      const count = document.querySelector(`[data-count="${index}"]`);
      if (count) {
        count.textContent = faces.length ? `${faces.length} faces` : "no face: check direction, angle and box";
        count.className = faces.length ? "" : "few";
      }
    });
    for (const link of links) link.mesh.geometry.attributes.color.needsUpdate = true;
    draw();
  }

  // ---------------------------------------------------------------------------------------------------- view

  const canvas = stage.querySelector("canvas");
  const camera = new THREE.PerspectiveCamera(28, 1, 0.001, 20);
  let renderer = null;
  try {
    renderer = new THREE.WebGLRenderer({ canvas, antialias: true, preserveDrawingBuffer: true });
  } catch (error) {
    info.textContent = "This browser shows no WebGL; the lists work without.";
  }

  function draw() {
    if (!renderer) return;
    renderer.setPixelRatio(window.devicePixelRatio || 1);
    renderer.setSize(stage.clientWidth, stage.clientHeight, false);
    camera.aspect = stage.clientWidth / stage.clientHeight;
    camera.updateProjectionMatrix();
    renderer.render(world, camera);
  }

  const axes = new THREE.Group();
  world.add(axes);
  function wristFrame() {
    const along = new THREE.Vector3().fromArray(annotation.wrist.finger_direction).normalize();
    const out = new THREE.Vector3().fromArray(annotation.wrist.palm_normal).normalize();
    return [along.clone().cross(out).normalize(), along, out];
  }
  function drawWrist(length) {
    axes.clear();
    axes.position.fromArray(annotation.wrist.position);
    [0xdc2828, 0x28a03c, 0x3250dc].forEach((color, index) => {
      const way = wristFrame()[index], side = new THREE.Vector3(way.y, way.z, way.x).cross(way).normalize();
      const tip = way.clone().multiplyScalar(length), width = side.multiplyScalar(0.03 * length);
      const geometry = new THREE.BufferGeometry().setFromPoints([width, tip, width.clone().negate()]);
      geometry.computeVertexNormals();
      const material = new THREE.MeshStandardMaterial({ color, emissive: color, side: 2 });
      axes.add(new THREE.Mesh(geometry, material));
    });
  }

  function lookAt() {
    const box = new THREE.Box3();
    for (const link of links) { link.group.updateMatrixWorld(true); box.expandByObject(link.group); }
    const middle = box.getCenter(new THREE.Vector3());
    const radius = 0.5 * box.getSize(new THREE.Vector3()).length();
    const distance = (1.05 * radius) / Math.sin((0.5 * camera.fov * Math.PI) / 180);
    const [x, y, z] = wristFrame();
    camera.up.copy(y);
    camera.position.copy(middle).add(z.clone().addScaledVector(x, 0.25).normalize().multiplyScalar(distance));
    camera.near = 0.01 * distance;
    camera.far = 10 * distance;
    camera.lookAt(middle);
    drawWrist(0.35 * radius);
    if (!renderer) return;
    const controls = new THREE.OrbitControls(camera, canvas);
    controls.target.copy(middle);
    controls.update();
    controls.addEventListener("change", draw);
  }

  const light = new THREE.DirectionalLight(0xffffff, 2.2);
  camera.add(light);
  light.position.set(-0.5, 0.7, 1);
  world.add(camera);

  canvas.addEventListener("click", (event) => {
    const box = canvas.getBoundingClientRect();
    const x = (2 * (event.clientX - box.left)) / box.width - 1, y = 1 - (2 * (event.clientY - box.top)) / box.height;
    const found = nearestLink(x, y);
    if (found < 0) return;
    clicked = found;
    info.textContent = `link ${data.links[found].name}`;
  });

  function nearestLink(x, y) {
    // The face under the pointer that is nearest to the camera; corners are looked at in the picture.
    let best = -1, depth = Infinity;
    links.forEach((link, index) => {
      link.group.updateMatrixWorld(true);
      const points = link.mesh.geometry.attributes.position, p = [0, 1, 2].map(() => new THREE.Vector3());
      for (let face = 0; face < link.count; face++) {
        for (let k = 0; k < 3; k++) p[k].fromBufferAttribute(points, 3 * face + k).applyMatrix4(link.group.matrixWorld).project(camera);
        const z = (p[0].z + p[1].z + p[2].z) / 3;
        if (z >= depth) continue;
        const sides = [0, 1, 2].map((k) => {
          const a = p[k], b = p[(k + 1) % 3];
          return (b.x - a.x) * (y - a.y) - (b.y - a.y) * (x - a.x);
        });
        if (sides.every((side) => side >= 0) || sides.every((side) => side <= 0)) { best = index; depth = z; }
      }
    });
    return best;
  }

  // --------------------------------------------------------------------------------------------------- lists

  function listGuesses() {
    const rows = data.guesses.map((guess) => element("p", { className: "guess" },
      element("b", { textContent: guess.topic }), ` ${guess.value} `,
      element("span", { className: guess.confidence < 0.5 ? "unsure" : "", textContent: `${Math.round(100 * guess.confidence)} % sure` }),
      element("br"), element("small", { textContent: guess.reason })));
    const notes = data.warnings.map((text) => element("p", { className: "guess unsure", textContent: text }));
    if (!rows.length) rows.push(element("p", { className: "guess", textContent: "Nothing was guessed: the annotation file was complete." }));
    document.getElementById("guesses").replaceChildren(...notes, ...rows);
    document.getElementById("guessed").open = notes.length > 0 || data.guesses.some((guess) => guess.confidence < 0.5);
  }

  function listJoints() {
    document.getElementById("joints").replaceChildren(...data.joints.map((joint, dof) => {
      const value = element("span", { textContent: pose[dof].toFixed(2) });
      const slider = element("input", { type: "range", min: joint.lower, max: joint.upper, step: "any", value: pose[dof] });
      slider.dataset.joint = joint.name;
      slider.addEventListener("input", () => {
        pose[dof] = Number(slider.value);
        value.textContent = pose[dof].toFixed(2);
        moveLinks();
      });
      return element("label", { className: "joint" }, element("b", { textContent: joint.name, title: joint.name }), slider, value);
    }));
  }

  function setPose(values) {
    values.forEach((value, dof) => { pose[dof] = Math.min(Math.max(value, data.joints[dof].lower), data.joints[dof].upper); });
    listJoints();
    moveLinks();
  }

  function choice(values, value, listener) {
    const select = element("select", {}, ...values.map((text) => element("option", { textContent: text, selected: text === value })));
    select.addEventListener("change", () => listener(select.value));
    return select;
  }

  function numbers(values, listener) {
    return values.map((value, index) => {
      const input = element("input", { type: "number", step: "any", value });
      input.addEventListener("change", () => { if (input.value !== "") listener(index, Number(input.value)); });
      return input;
    });
  }

  function listPatches() {
    document.getElementById("patches").replaceChildren(...annotation.patches.map((patch, index) => {
      const tell = (text) => { changed(`${text} of patch ${patch.name}`); paint(); };
      const rgb = data.colors[finger(patch)] || [200, 200, 200];
      const count = element("span");
      count.dataset.count = index;
      const remove = element("button", { textContent: "remove" });
      remove.addEventListener("click", () => {
        annotation.patches.splice(index, 1);
        listPatches();
        changed(`patch ${patch.name} is removed`);
        paint();
      });
      const angle = element("input", { type: "range", min: 5, max: 180, step: 1, value: patch.angle_deg });
      const degrees = element("span", { textContent: `${patch.angle_deg} deg` });
      angle.addEventListener("input", () => {
        patch.angle_deg = Number(angle.value);
        degrees.textContent = `${patch.angle_deg} deg`;
        tell("angle");
      });
      const box = ["lower", "upper"].map((side) => element("div", {}, `${side} [m] `,
        ...numbers((patch[side] || ["", "", ""]), (axis, value) => {
          const open = side === "lower" ? -10 : 10;
          patch[side] = patch[side] || [open, open, open];
          patch[side][axis] = value;
          tell("box");
        })));
      const name = element("b", { textContent: patch.name });
      name.style.cursor = "pointer";
      name.addEventListener("click", () => { info.textContent = `patch ${patch.name} on link ${patch.link}`; });
      return element("div", { className: "patch" },
        element("i", { className: "dot", style: `background: rgb(${rgb.join(",")})` }), " ", name, ` on ${patch.link} `, count, " ", remove, element("br"),
        element("label", {}, "finger ", choice(Object.keys(annotation.fingers), finger(patch), (value) => { patch.finger = value; listPatches(); tell("finger"); })),
        element("label", {}, "region ", choice(["tip", "middle", "palm"], patch.region, (value) => { patch.region = value; tell("region"); })),
        element("div", {}, "direction ", ...numbers(patch.direction, (axis, value) => { patch.direction[axis] = value; tell("direction"); })),
        element("label", {}, "within ", angle, " ", degrees), ...box);
    }));
  }

  function listTypes() {
    document.getElementById("types").replaceChildren(...Object.entries(annotation.grasp_types).map(([name, type]) =>
      element("div", { className: "type" }, element("b", { textContent: `${name}: ` }), ...Object.keys(annotation.fingers).map((key) => {
        const input = element("input", { type: "checkbox", checked: type.fingers.includes(key) });
        input.addEventListener("change", () => {
          type.fingers = Object.keys(annotation.fingers).filter((other) => (other === key ? input.checked : type.fingers.includes(other)));
          changed(`fingers of ${name}`);
        });
        return element("label", {}, input, ` ${key}`);
      }))));
  }

  function listWrist() {
    const rows = Object.entries({ position: "origin [m]", finger_direction: "along the fingers", palm_normal: "out of the palm" });
    document.getElementById("wrist").replaceChildren(...rows.map(([key, text]) => element("div", {}, `${text} `,
      ...numbers(annotation.wrist[key], (axis, value) => {
        annotation.wrist[key][axis] = value;
        changed("palm frame");
        lookAt();
        draw();
      }))));
  }

  document.getElementById("opening").addEventListener("click", () => setPose(data.joints.map((joint) => annotation.joints[joint.name].opening)));
  document.getElementById("zero").addEventListener("click", () => setPose(pose.map(() => 0)));
  document.getElementById("take").addEventListener("click", () => {
    data.joints.forEach((joint, dof) => { annotation.joints[joint.name].opening = Number(pose[dof].toFixed(6)); });
    changed("opening pose");
  });
  document.getElementById("add").addEventListener("click", () => {
    const link = data.links[clicked].name;
    let name = `${link}_patch`;
    for (let i = 2; annotation.patches.some((patch) => patch.name === name); i++) name = `${link}_patch_${i}`;
    const patch = { name, link, region: "middle", direction: [0, 0, 1], angle_deg: 45 };
    if (!finger(patch)) patch.finger = Object.keys(annotation.fingers)[0];
    annotation.patches.push(patch);
    listPatches();
    changed(`patch ${name} is new`);
    paint();
  });

  function fileText() {
    const head = `# Grasp annotation of ${data.name}, saved by the review page. JSON is YAML: edit it, or open the page of the next run.`;
    return `${head.replace(/[\r\n]/g, " ")}\n${JSON.stringify(annotation, null, 1)}\n`;
  }
  document.getElementById("save").addEventListener("click", () => {
    const link = element("a", { href: URL.createObjectURL(new Blob([fileText()], { type: "text/yaml" })), download: "annotation.yaml" });
    link.click();
    URL.revokeObjectURL(link.href);
    document.getElementById("state").textContent = "Saved as annotation.yaml: put it beside the hand and run the same command again.";
    window.onbeforeunload = null;
  });

  window.warpgraspReview = { fileText, facesOf, annotation, links, setPose };
  listGuesses();
  listJoints();
  listPatches();
  listTypes();
  listWrist();
  moveLinks();
  lookAt();
  paint();
  window.addEventListener("resize", draw);
  stage.dataset.state = renderer ? "ready" : "no-webgl";
})();
