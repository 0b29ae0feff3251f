"use strict";
// The 3-D viewer of the report: one glTF file with a scene per grasp, which share their meshes.
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const stage = document.querySelector(".stage");
  const info = stage.querySelector(".info");
  const canvas = stage.querySelector("canvas");
  const keys = Object.keys(data.grasps);
  const plainColor = new THREE.Color(222 / 255, 142 / 255, 82 / 255).convertSRGBToLinear();
  let current = null;
  let shown = null;
  let scenes = [];
  let object = "";

  function bytes() {
    const text = atob(document.getElementById("glb").textContent);
    const result = new Uint8Array(text.length);
    for (let i = 0; i < text.length; i++) result[i] = text.charCodeAt(i);
    return result;
  }

  function describe(key) {
    const grasp = data.grasps[key];
    const title = document.createElement("b");
    title.textContent = grasp.name;
    const lines = data.forces
      .map((force, i) => `${force} N: ${grasp.trials[i]} of ${grasp.trial_count} trials, ${grasp.reasons[i]}`)
      .filter((line, i) => grasp.trials[i] !== null);
    if (grasp.energy !== null) lines.unshift(`energy ${grasp.energy.toPrecision(3)}`);
    if (grasp.scene < 0) lines.push("not in 3-D");
    info.replaceChildren(title, "\n" + lines.join("\n"));
    for (const button of document.querySelectorAll(".grasps .now")) button.classList.remove("now");
    const square = document.querySelector(`.grasps [data-grasp="${key}"]`);
    if (square) square.classList.add("now");
  }

  let renderer;
  try {
    renderer = new THREE.WebGLRenderer({ canvas, antialias: true, preserveDrawingBuffer: true });
  } catch (error) {
    stage.dataset.state = "no-webgl";
    info.textContent = "This browser shows no WebGL; the rest of the page works without.";
  }

  const camera = new THREE.PerspectiveCamera(28, 1, 0.001, 20);
  camera.up.set(0, 0, 1);
  const world = new THREE.Scene();
  world.background = new THREE.Color(0xf6f6f4);
  world.add(new THREE.HemisphereLight(0xffffff, 0xb8b4ae, 1.7));
  const key = new THREE.DirectionalLight(0xffffff, 2.2);
  camera.add(key);
  key.position.set(-0.5, 0.7, 1);
  world.add(camera);
  const controls = renderer ? new THREE.OrbitControls(camera, canvas) : null;

  function draw() {
    if (!renderer) return;
    const width = stage.clientWidth, height = stage.clientHeight;
    renderer.setPixelRatio(window.devicePixelRatio || 1);
    renderer.setSize(width, height, false);
    camera.aspect = width / height;
    camera.updateProjectionMatrix();
    renderer.render(world, camera);
  }

  function checked(name) {
    return stage.querySelector(`[data-show="${name}"]`).checked;
  }

  function applySwitches() {
    if (!shown) return;
    shown.traverse((node) => {
      const kind = node.userData.kind;
      if (kind === "hand") {
        node.visible = checked("hand");
        if (node.material) {
          node.material.transparent = checked("glass");
          node.material.opacity = checked("glass") ? 0.35 : 1;
          node.material.depthWrite = !checked("glass");
          node.material.needsUpdate = true;
        }
      }
      if (kind === "contact") node.visible = checked("contacts");
      if (kind === "object" && node.material) {
        node.material.vertexColors = checked("heat");
        node.material.color = checked("heat") ? new THREE.Color(1, 1, 1) : plainColor;
        node.material.needsUpdate = true;
      }
    });
    draw();
  }

  function frame(scene) {
    const box = new THREE.Box3().setFromObject(scene);
    const center = box.getCenter(new THREE.Vector3());
    const radius = 0.5 * box.getSize(new THREE.Vector3()).length();
    const distance = (0.85 * radius) / Math.sin((0.5 * camera.fov * Math.PI) / 180);
    camera.position.copy(center).add(new THREE.Vector3(...scene.userData.view).multiplyScalar(distance));
    camera.near = 0.01 * distance;
    camera.far = 10 * distance;
    controls.target.copy(center);
    controls.update();
  }

  function show(name) {
    current = name;
    describe(name);
    if (!renderer) return;
    if (shown) world.remove(shown);
    shown = scenes[data.grasps[name].scene] || null;
    if (shown) {
      world.add(shown);
      const entry = name.split("/")[0];
      if (entry !== object || !checked("keep")) frame(shown);
      object = entry;
    }
    applySwitches();
    draw();
  }

  function step(count) {
    show(keys[(keys.indexOf(current) + count + keys.length) % keys.length]);
  }

  document.addEventListener("click", (event) => {
    const button = event.target.closest("[data-grasp], [data-step], [data-save]");
    if (!button) return;
    if (button.dataset.step) step(Number(button.dataset.step));
    else if ("save" in button.dataset) save();
    else {
      show(button.dataset.grasp);
      if (button.classList.contains("tile")) stage.scrollIntoView({ behavior: "smooth", block: "center" });
    }
  });
  stage.addEventListener("change", applySwitches);
  stage.addEventListener("keydown", (event) => {
    if (event.key === "ArrowRight") step(1);
    if (event.key === "ArrowLeft") step(-1);
  });

  function save() {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([bytes()], { type: "model/gltf-binary" }));
    link.download = "grasps.glb";
    link.click();
    URL.revokeObjectURL(link.href);
  }

  async function start() {
    const first = document.querySelector(".grasps .held:not(.flat)") || document.querySelector(".grasps button:not(.flat)");
    const name = decodeURIComponent(location.hash.slice(1));
    const initial = name in data.grasps ? name : first ? first.dataset.grasp : keys[0];
    if (renderer && document.getElementById("glb").textContent) {
      const gltf = await new THREE.GLTFLoader().parseAsync(bytes().buffer, "");
      scenes = gltf.scenes;
      for (const scene of scenes) {
        for (const node of scene.children) {
          const kind = (node.userData.name || node.name).split("/")[0].split("_")[0];
          node.traverse((part) => { part.userData.kind = kind; });
        }
      }
      controls.addEventListener("change", draw);
      window.addEventListener("resize", draw);
    }
    show(initial);
    if (renderer) stage.dataset.state = shown ? "ready" : "empty";
  }

  start().catch((error) => {
    stage.dataset.state = "failed";
    info.textContent = `The 3-D view failed: ${error.message}`;
  });
})();
